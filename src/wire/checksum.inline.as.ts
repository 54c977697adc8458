/** The Internet checksum (RFC 1071) in linear memory: the twin of `checksum.ts`. */

/**
 * Adds `length` bytes at `at` to `sum` as little-endian words: the sum is the
 * same in either byte order when it is stored as it was loaded (section 2.B).
 */
export function addBytes(sum: u64, at: u32, length: u32): u64 {
  const end = at + length
  let total = sum
  for (const last = at + (length & ~7); at < last; at += 8) {
    const word = load<u64>(at)
    total += (word & 0xffffffff) + (word >> 32)
  }
  for (; at + 2 <= end; at += 2) total += load<u16>(at)
  return at < end ? total + load<u8>(at) : total
}

/** The sum in 16 bits, not inverted. */
export function foldSum(sum: u64): u32 {
  let folded = (sum & 0xffffffff) + (sum >> 32)
  folded = (folded & 0xffff) + ((folded >> 16) & 0xffff) + (folded >> 32)
  folded = (folded & 0xffff) + (folded >> 16)
  return <u32>((folded & 0xffff) + (folded >> 16))
}
