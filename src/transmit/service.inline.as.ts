import { DESCRIPTOR_ADDRESS, DESCRIPTOR_CAPTURED } from '../memory/formats'

const ETHERNET_BYTES: u32 = 14
const VLAN_BYTES: u32 = 4
const IPV4_BYTES: u32 = 20
const IPV6_BYTES: u32 = 40
/** Types as a little-endian machine reads them. */
const TYPE_IPV4: u32 = 0x0008
const TYPE_IPV6: u32 = 0xdd86
const TYPE_VLAN: u32 = 0x0081
const TYPE_SERVICE_VLAN: u32 = 0xa888

const NOT_CAPABLE: u32 = 0
const CONGESTED: u32 = 3

/**
 * Where the IPv4 or IPv6 header of a packet begins, behind up to two VLAN tags;
 * 0 where there is none, or not whole.
 */
function networkOf(descriptor: u32): u32 {
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const end = packet + load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  let at = packet + ETHERNET_BYTES
  if (at > end) return 0
  let type: u32 = load<u16>(at - 2)
  for (let tags = 0; tags < 2 && (type === TYPE_VLAN || type === TYPE_SERVICE_VLAN) && at + VLAN_BYTES <= end; tags++) {
    at += VLAN_BYTES
    type = load<u16>(at - 2)
  }
  if (type === TYPE_IPV4) return at + IPV4_BYTES <= end && load<u8>(at) >> 4 === 4 ? at : 0
  return type === TYPE_IPV6 && at + IPV6_BYTES <= end && load<u8>(at) >> 4 === 6 ? at : 0
}

/** Type of service or traffic class, 8 bits: six of class, two of congestion (RFC 2474, 3168); 0 without an IP header. */
export function serviceOf(descriptor: u32): u32 {
  const at = networkOf(descriptor)
  if (at === 0) return 0
  const word: u32 = bswap<u16>(load<u16>(at))
  return word >> 12 === 4 ? word & 0xff : (word >> 4) & 0xff
}

/** Writes "congestion experienced" into a packet whose sender can hear it; false where it cannot (RFC 3168, 5). */
export function markCongestion(descriptor: u32): bool {
  const at = networkOf(descriptor)
  if (at === 0) return false
  const word: u32 = bswap<u16>(load<u16>(at))
  const isIpv4 = word >> 12 === 4
  const shift: u32 = isIpv4 ? 0 : 4
  const said = (word >> shift) & CONGESTED
  if (said === NOT_CAPABLE) return false
  const marked = word | (CONGESTED << shift)
  store<u16>(at, bswap<u16>(<u16>marked))
  if (isIpv4) {
    // RFC 1624, equation 3.
    const sum = (~(<u32>bswap<u16>(load<u16>(at, 10))) & 0xffff) + (~word & 0xffff) + marked
    const folded = (sum & 0xffff) + (sum >> 16)
    store<u16>(at, bswap<u16>(<u16>~((folded & 0xffff) + (folded >> 16))), 10)
  }
  return true
}
