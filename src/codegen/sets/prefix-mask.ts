/** The leading `length` bits of 32; 0 for a negative length, all for one above 32. */
export function prefixMask(length: number): number {
  return length <= 0 ? 0 : length >= 32 ? 0xffff_ffff : (0xffff_ffff << (32 - length)) >>> 0
}
