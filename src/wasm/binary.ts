/** Values of the binary format (WebAssembly core specification 2.0, chapter 5.2), as lists of bytes. */

/** LEB128 of a number from 0 to 2^32 - 1. */
export function unsigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return bytes
}

/** LEB128 in two's complement, as constants are written. */
export function signed(value: bigint): number[] {
  const bytes: number[] = []
  let rest = value
  for (;;) {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    const isLast = (rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40)
    bytes.push(isLast ? low : low | 0x80)
    if (isLast) return bytes
  }
}

/** UTF-8 behind its length in bytes. */
export function text(value: string): number[] {
  return sized([...new TextEncoder().encode(value)])
}

/** `bytes` behind their number. */
export function sized(bytes: readonly number[]): number[] {
  return [...unsigned(bytes.length), ...bytes]
}

/** Elements behind their number. */
export function vector(elements: readonly (readonly number[])[]): number[] {
  return [...unsigned(elements.length), ...elements.flat()]
}
