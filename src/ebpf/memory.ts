/**
 * What a program that is interpreted can address. One array holds everything;
 * a program sees it as regions behind 32-bit addresses, so that the 32-bit
 * `data` and `data_end` of `struct xdp_md` can hold them:
 *
 *     address = region << 24 | offset        region 0 is never readable
 *
 * Regions of more than 16 MiB go on in the numbers that follow.
 */
export interface Memory {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** By region: where its offset 0 lies in `bytes`. */
  readonly base: Int32Array
  /** By region: the first offset that may be accessed. */
  readonly low: Int32Array
  /** By region: the end of what may be read; 0 where there is nothing. */
  readonly readEnd: Int32Array
  /** By region: the end of what may be written. */
  readonly writeEnd: Int32Array
}

export const REGION_SHIFT = 24
const REGION_BYTES = 1 << REGION_SHIFT

/** Numbers of the regions; those of the stack are one a frame. */
export const REGION = { context: 1, packet: 2, scratch: 3, stack: 16, values: 32, handles: 254 } as const

/** Depth of local calls and bytes of stack a frame, as in the kernel (MAX_CALL_FRAMES, MAX_BPF_STACK). */
export const MAX_FRAMES = 8
export const STACK_BYTES = 512

/** Memory of this size, with no region yet. */
export function allocateMemory(lengthBytes: number): Memory {
  const buffer = new ArrayBuffer(lengthBytes)
  return {
    bytes: new Uint8Array(buffer),
    view: new DataView(buffer),
    base: new Int32Array(256),
    low: new Int32Array(256),
    readEnd: new Int32Array(256),
    writeEnd: new Int32Array(256),
  }
}

/** Regions that `lengthBytes` take. */
export function regionsFor(lengthBytes: number): number {
  return Math.ceil(lengthBytes / REGION_BYTES)
}

/** Makes bytes addressable, from offset 0 of the region on. */
export function openRegion(memory: Memory, region: number, at: number, lengthBytes: number, writable = true): void {
  for (let part = 0; part < regionsFor(lengthBytes); part++) {
    // An access may straddle two parts of one region: the bytes go on there.
    const end = Math.min(REGION_BYTES + 7, lengthBytes - part * REGION_BYTES)
    memory.base[region + part] = at + part * REGION_BYTES
    memory.readEnd[region + part] = end
    memory.writeEnd[region + part] = writable ? end : 0
  }
}

/**
 * Index into `bytes` of an access of `size` bytes at the address that two words
 * hold plus an offset, or -1. `ends` is `readEnd` or `writeEnd`.
 */
export function locate(
  memory: Memory,
  ends: Int32Array,
  low: number,
  high: number,
  offset: number,
  size: number,
): number {
  const address = (low + offset) | 0
  const region = address >>> REGION_SHIFT
  const within = address & (REGION_BYTES - 1)
  if (high !== 0 || within < memory.low[region] || within + size > ends[region]) return -1
  return memory.base[region] + within
}
