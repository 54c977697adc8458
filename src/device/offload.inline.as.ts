import {
  FLAG_IPV6,
  FLAG_TCP,
  FLAG_UDP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_MASK,
  FLAGS_TRANSPORT_SHIFT,
} from '../memory/formats'
import { addBytes, foldSum } from '../wire/checksum.inline.as'

/** EtherTypes as they are loaded. */
const TYPE_IPV6: u32 = 0xdd86
const TYPE_VLAN: u32 = 0x0081
const TYPE_SERVICE_VLAN: u32 = 0xa888

/** Where the checksum stands in the transport header (RFC 9293, RFC 768). */
const TCP_CHECKSUM: u32 = 16
const UDP_CHECKSUM: u32 = 6

/** Bytes before the transport header. */
export function transportOf(flags: u32): u32 {
  return (flags >> FLAGS_TRANSPORT_SHIFT) & FLAGS_TRANSPORT_MASK
}

export function checksumOffsetOf(flags: u32): u32 {
  return flags & FLAG_TCP ? TCP_CHECKSUM : UDP_CHECKSUM
}

export function segmentBytesOf(flags: u32): u32 {
  return flags >> FLAGS_SEGMENT_SHIFT
}

/**
 * What a descriptor says of a packet whose checksum from byte `start` on is to
 * be put `offset` further; 0 where a descriptor cannot say it.
 */
export function transportFlags(packet: u32, start: u32, offset: u32): u32 {
  if (start & 1 || start > <u32>FLAGS_TRANSPORT_MASK) return 0
  const kind: u32 = offset === TCP_CHECKSUM ? FLAG_TCP : offset === UDP_CHECKSUM ? FLAG_UDP : 0
  if (kind === 0) return 0
  const family: u32 = etherType(packet, start) === TYPE_IPV6 ? FLAG_IPV6 : 0
  return kind | family | (start << FLAGS_TRANSPORT_SHIFT)
}

/** The EtherType behind VLAN tags, as it is loaded. */
function etherType(packet: u32, end: u32): u32 {
  for (let at: u32 = 12; at + 2 <= end; at += 4) {
    const type = <u32>load<u16>(packet + at)
    if (type !== TYPE_VLAN && type !== TYPE_SERVICE_VLAN) return type
  }
  return 0
}

/** Sums the packet from `start` on and puts the checksum `offset` further; whether both lie in the packet. */
export function fillChecksum(packet: u32, length: u32, start: u32, offset: u32): bool {
  if (start > length || offset + 2 > length - start) return false
  const sum = foldSum(addBytes(0, packet + start, length - start)) ^ 0xffff
  // 0 would mean that there is none (RFC 768); 0xffff is the same number in one's complement.
  store<u16>(packet + start + offset, <u16>(sum === 0 ? 0xffff : sum))
  return true
}
