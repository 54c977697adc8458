/**
 * Prefixes of one family: `lengths[i]` belongs to word `i` for IPv4, and to the
 * words from `4 * i` for IPv6, most significant first. In any order; prefixes
 * may repeat or lie in one another, and bits behind their length do not count.
 */
export interface PrefixList {
  readonly words: Uint32Array
  readonly lengths: Uint8Array
}

/** What a named set holds. */
export interface SetContents {
  readonly v4: PrefixList
  readonly v6: PrefixList
}

/** The leading `length` bits of 32; 0 for a negative length, all for one above 32. */
export function prefixMask(length: number): number {
  return length <= 0 ? 0 : length >= 32 ? 0xffff_ffff : (0xffff_ffff << (32 - length)) >>> 0
}
