/**
 * The Internet checksum (RFC 1071) in 16-bit words. Sums are kept unfolded;
 * numbers hold those of any packet exactly.
 */

/** Adds the 16-bit big-endian words of `bytes` to `sum`; an odd last byte is padded with zero. */
export function addWords(sum: number, bytes: Uint8Array, start = 0, end = bytes.length): number {
  let total = sum
  let at = start
  for (; at + 1 < end; at += 2) total += (bytes[at]! << 8) | bytes[at + 1]!
  if (at < end) total += bytes[at]! << 8
  return total
}

/** One's complement of the folded sum: what stands in a checksum field. */
export function foldChecksum(sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000)
  return ~folded & 0xffff
}
