import { DESCRIPTOR_ADDRESS, FLAG_IPV6, FLAG_TCP } from '../memory/formats'
import {
  ENTRY_ALONE,
  ENTRY_COUNT,
  ENTRY_FIXED_ID,
  ENTRY_NETWORK,
  ENTRY_NEXT_SEQUENCE,
  ENTRY_OFFLOAD,
  ENTRY_SEGMENT,
} from './gro-layout.inline.as'
import {
  IPV4_FRAGMENT,
  IPV4_ID,
  IPV4_TTL,
  IPV6_HOPS,
  TCP_ACKNOWLEDGED,
  TCP_BYTES,
  TCP_CWR,
  TCP_FIN,
  TCP_FLAGS,
  TCP_FLAGS_WORD,
  TCP_PSH,
  TCP_SEQUENCE,
  tcpBytesOf,
  transportOf,
} from './transport.inline.as'

/** Flags with which a segment ends what it belongs to: URG, PSH, RST, SYN, FIN. */
const TCP_ENDING: u32 = 0x2f
/** The kernel's UDP_GRO_CNT_MAX. */
const MOST_DATAGRAMS: u32 = 64
const IPV4_TYPE_OF_SERVICE: usize = 1
/** Do not fragment, and the traffic class, as they are loaded. */
const IPV4_DF: u32 = 0x0040
const IPV6_CLASS: u32 = 0x0000_f00f

/** Whether the packet may be appended to the entry of its flow: `tcp_gro_receive`, `udp_gro_receive_segment`. */
export function canFollow(entry: u32, incoming: u32): bool {
  if (load<u8>(incoming, ENTRY_ALONE) !== 0 || !hasLikeNetwork(entry, incoming)) return false
  const segment = load<u32>(entry, ENTRY_SEGMENT)
  const bytes = load<u32>(incoming, ENTRY_SEGMENT)
  const offload = load<u32>(entry, ENTRY_OFFLOAD)
  if ((offload & FLAG_TCP) === 0) return bytes <= segment
  // Without payload bytes this is 0 - 1, which is more than any segment has.
  if (bytes - 1 >= segment) return false
  const one = load<u32>(entry, DESCRIPTOR_ADDRESS) + transportOf(offload)
  const other = load<u32>(incoming, DESCRIPTOR_ADDRESS) + transportOf(offload)
  if (bswap<u32>(load<u32>(other, TCP_SEQUENCE)) !== load<u32>(entry, ENTRY_NEXT_SEQUENCE)) return false
  const flags = load<u32>(one, TCP_FLAGS_WORD) ^ load<u32>(other, TCP_FLAGS_WORD)
  // A segment that says "congestion window reduced" says it once, and not for others.
  let difference = (flags & ~((TCP_FIN | TCP_PSH) << 8)) | (load<u32>(other, TCP_FLAGS_WORD) & (TCP_CWR << 8))
  difference |= load<u32>(one, TCP_ACKNOWLEDGED) ^ load<u32>(other, TCP_ACKNOWLEDGED)
  // The lengths are equal where nothing differs so far.
  if (difference !== 0) return false
  for (let at = TCP_BYTES, end = tcpBytesOf(one); at < end; at += 4) {
    difference |= load<u32>(one + at) ^ load<u32>(other + at)
  }
  return difference === 0
}

/**
 * Whether nothing may follow the packet in what it belongs to: the entry that
 * it is to be appended to, or, with 0, itself.
 */
export function hasToEnd(incoming: u32, entry: u32): bool {
  const bytes = load<u32>(incoming, ENTRY_SEGMENT)
  const offload = load<u32>(incoming, ENTRY_OFFLOAD)
  if ((offload & FLAG_TCP) === 0) {
    if (entry === 0) return false
    return bytes !== load<u32>(entry, ENTRY_SEGMENT) || load<u32>(entry, ENTRY_COUNT) + 1 >= MOST_DATAGRAMS
  }
  const flags = <u32>load<u8>(load<u32>(incoming, DESCRIPTOR_ADDRESS) + transportOf(offload), TCP_FLAGS)
  return bytes < (entry === 0 ? 1 : load<u32>(entry, ENTRY_SEGMENT)) || (flags & TCP_ENDING) !== 0
}

/** `inet_gro_flush` and `ipv6_gro_flush`: the header fields that all packets of one must share. */
function hasLikeNetwork(entry: u32, incoming: u32): bool {
  const network = load<u32>(entry, ENTRY_NETWORK)
  const one = load<u32>(entry, DESCRIPTOR_ADDRESS) + network
  const other = load<u32>(incoming, DESCRIPTOR_ADDRESS) + network
  if (load<u32>(entry, ENTRY_OFFLOAD) & FLAG_IPV6) {
    const hops = load<u8>(one, IPV6_HOPS) ^ load<u8>(other, IPV6_HOPS)
    return (((load<u32>(one) ^ load<u32>(other)) & IPV6_CLASS) | hops) === 0
  }
  let difference = <u32>(load<u8>(one, IPV4_TTL) ^ load<u8>(other, IPV4_TTL))
  difference |= load<u8>(one, IPV4_TYPE_OF_SERVICE) ^ load<u8>(other, IPV4_TYPE_OF_SERVICE)
  difference |= (load<u16>(one, IPV4_FRAGMENT) ^ load<u16>(other, IPV4_FRAGMENT)) & IPV4_DF
  if (difference !== 0) return false
  const count = load<u32>(entry, ENTRY_COUNT)
  const step = <u32>(bswap<u16>(load<u16>(other, IPV4_ID)) - bswap<u16>(load<u16>(one, IPV4_ID))) & 0xffff
  // The second packet tells whether identifications stay or count on.
  if (count === 1 && step === 0) store<u8>(entry, 1, ENTRY_FIXED_ID)
  return step === (load<u8>(entry, ENTRY_FIXED_ID) !== 0 ? 0 : count)
}
