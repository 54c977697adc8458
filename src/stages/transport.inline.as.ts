import { FLAG_IPV6, FLAG_TCP, FLAGS_TRANSPORT_MASK, FLAGS_TRANSPORT_SHIFT } from '../memory/formats'
import { addBytes, foldSum } from '../wire/checksum.inline.as'

/** Offsets in headers, from their begin (RFC 791, 8200, 9293, 768). */
export const IPV4_TOTAL: usize = 2
export const IPV4_ID: usize = 4
export const IPV4_FRAGMENT: usize = 6
export const IPV4_TTL: usize = 8
export const IPV4_PROTOCOL: usize = 9
export const IPV4_CHECKSUM: usize = 10
export const IPV4_ADDRESSES: usize = 12
export const IPV4_BYTES: u32 = 20
export const IPV6_PAYLOAD: usize = 4
export const IPV6_NEXT: usize = 6
export const IPV6_HOPS: usize = 7
export const IPV6_ADDRESSES: usize = 8
export const IPV6_BYTES: u32 = 40
export const TCP_SEQUENCE: usize = 4
export const TCP_ACKNOWLEDGED: usize = 8
/** Header length and flags, then the window. */
export const TCP_FLAGS_WORD: usize = 12
export const TCP_FLAGS: usize = 13
export const TCP_CHECKSUM: usize = 16
export const TCP_BYTES: u32 = 20
export const UDP_LENGTH: usize = 4
export const UDP_CHECKSUM: usize = 6
export const UDP_BYTES: u32 = 8

export const PROTOCOL_TCP: u32 = 6
export const PROTOCOL_UDP: u32 = 17

export const TCP_FIN: u32 = 0x01
export const TCP_PSH: u32 = 0x08
export const TCP_CWR: u32 = 0x80

/** EtherTypes as they are loaded. */
export const TYPE_IPV4: u32 = 0x0008
export const TYPE_IPV6: u32 = 0xdd86
const TYPE_VLAN: u32 = 0x0081
const TYPE_SERVICE_VLAN: u32 = 0xa888
export const ETHERNET_BYTES: u32 = 14
const VLAN_BYTES: u32 = 4
const MOST_VLANS: u32 = 2

/** Where the network header begins: behind Ethernet and up to two VLAN tags; the EtherType stands before it. */
export function networkOf(packet: u32): u32 {
  let network = ETHERNET_BYTES
  for (let tags: u32 = 0; tags < MOST_VLANS; tags++, network += VLAN_BYTES) {
    const type = <u32>load<u16>(packet + network - 2)
    if (type !== TYPE_VLAN && type !== TYPE_SERVICE_VLAN) return network
  }
  return network
}

export function transportOf(offload: u32): u32 {
  return (offload >> FLAGS_TRANSPORT_SHIFT) & FLAGS_TRANSPORT_MASK
}

/** Bytes of the TCP header at `at`. */
export function tcpBytesOf(at: u32): u32 {
  return (<u32>(load<u8>(at, TCP_FLAGS_WORD) >> 4)) << 2
}

/** The sum of the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1) for `length` bytes from the transport header on. */
export function pseudoSum(offload: u32, network: u32, length: u32): u64 {
  const protocol = offload & FLAG_TCP ? PROTOCOL_TCP : PROTOCOL_UDP
  const sum = ((<u64>protocol) << 8) + bswap<u16>(<u16>length)
  return offload & FLAG_IPV6
    ? addBytes(sum, network + <u32>IPV6_ADDRESSES, 32)
    : addBytes(sum, network + <u32>IPV4_ADDRESSES, 8)
}

/** Says in the network header at `network` that so many bytes follow its begin, and makes its checksum right. */
export function setNetworkLength(offload: u32, network: u32, length: u32): void {
  if (offload & FLAG_IPV6) {
    store<u16>(network, bswap<u16>(<u16>(length - IPV6_BYTES)), IPV6_PAYLOAD)
    return
  }
  store<u16>(network, bswap<u16>(<u16>length), IPV4_TOTAL)
  store<u16>(network, 0, IPV4_CHECKSUM)
  // With its options (RFC 791, 3.1), whose words the lower half of the first byte counts.
  const headerBytes = (<u32>(load<u8>(network) & 0xf)) << 2
  store<u16>(network, <u16>~foldSum(addBytes(0, network, headerBytes)), IPV4_CHECKSUM)
}

/** Where the checksum stands in the transport header. */
export function checksumOf(offload: u32): u32 {
  return offload & FLAG_TCP ? <u32>TCP_CHECKSUM : <u32>UDP_CHECKSUM
}
