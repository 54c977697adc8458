/** An IPv4 address as written: 1 to 4 parts of a dotted quad, from the left. */
export interface Ipv4Text {
  /** The parts shifted to the left end of a 32-bit word. */
  readonly word: number
  /** 8, 16, 24 or 32: how many bits the parts cover. */
  readonly bits: number
}

/** Reads `10`, `172.16`, `192.168.1` or `192.0.2.1` (decimal); null when a part is not 0 to 255. */
export function parseIpv4(text: string): Ipv4Text | null {
  const parts = text.split('.')
  let word = 0
  for (const part of parts) {
    if (!/^\d{1,10}$/.test(part) || Number(part) > 255) return null
    word = word * 256 + Number(part)
  }
  const bits = parts.length * 8
  return bits > 32 ? null : { word: word * 2 ** (32 - bits), bits }
}

/**
 * Reads an IPv6 address (RFC 4291 section 2.2, also with a dotted quad at its
 * end) into four 32-bit words, most significant first; null when it is none.
 */
export function parseIpv6(text: string): number[] | null {
  const quad = /^(.*:)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})$/.exec(text)
  if (quad) {
    const low = parseIpv4(quad[2]!)
    return low && parseIpv6(`${quad[1]}${(low.word >>> 16).toString(16)}:${(low.word & 0xffff).toString(16)}`)
  }
  const halves = text.split('::')
  if (halves.length > 2) return null
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - head!.length - (tail?.length ?? 0)
  // `::` stands for one zero group at least.
  if (tail === undefined ? missing !== 0 : missing < 1) return null
  const groups = [...head!, ...Array<string>(tail === undefined ? 0 : missing).fill('0'), ...(tail ?? [])]
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null
  const values = groups.map((group) => Number.parseInt(group, 16))
  return [0, 2, 4, 6].map((index) => values[index]! * 65536 + values[index + 1]!)
}

/** Whether `text` is a whole IPv4 or IPv6 address, without a zone. Node's own isIP compiles an expression for 6 ms first. */
export function isAddress(text: string): boolean {
  return parseIpv4(text)?.bits === 32 || (text.includes(':') && parseIpv6(text) !== null)
}

/** `aa:bb:cc:dd:ee:ff`, `a-b-c-d-e-f`, `aa.bb.cc.dd.ee.ff`, `aabb.ccdd.eeff` or `aabbccddeeff` as six bytes. */
export function parseMac(text: string): number[] | null {
  const groups = text.split(/[:.-]/)
  const digits = groups.length === 6 ? groups.map((group) => group.padStart(2, '0')).join('') : groups.join('')
  if (!/^[0-9a-f]{12}$/i.test(digits)) return null
  return [0, 2, 4, 6, 8, 10].map((index) => Number.parseInt(digits.slice(index, index + 2), 16))
}

/** A 32-bit word as a dotted quad. */
export function formatIpv4(word: number): string {
  return [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.')
}

/** Four 32-bit words as RFC 5952 writes them: lower case, the longest run of zero groups as `::`. */
export function formatIpv6(words: readonly number[]): string {
  const groups = words.flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)])
  let [start, length] = [0, 0]
  for (let first = 0; first < 8; first++) {
    let end = first
    while (end < 8 && groups[end] === '0') end++
    if (end - first > length) [start, length] = [first, end - first]
  }
  if (length < 2) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

/** The 32-bit word with `bits` leading ones. */
export function prefixMask(bits: number): number {
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0
}
