/** What IPv6 addresses mean by their bits, wherever they stand (RFC 4291, 2.5). */

/** First two bytes of what is for one link (fe80::/10), as they are loaded, and the bits that say so. */
const LINK_LOCAL: u32 = 0x80fe
const LINK_LOCAL_MASK: u32 = 0xc0ff
/** The third word of an IPv4 address that is written as IPv6, as it is loaded. */
const MAPPED: u32 = 0xffff0000

export function isLinkLocal(at: u32): bool {
  return (<u32>load<u16>(at) & LINK_LOCAL_MASK) === LINK_LOCAL
}

/** Unspecified, loopback, or an IPv4 address written as IPv6 (RFC 6890, 2.2.3). */
export function isReserved(at: u32): bool {
  if (load<u64>(at) !== 0) return false
  const third = load<u32>(at, 8)
  return third === MAPPED || (third === 0 && bswap<u32>(load<u32>(at, 12)) <= 1)
}
