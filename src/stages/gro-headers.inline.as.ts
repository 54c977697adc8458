import {
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  FLAG_CHECKSUM_GOOD,
  FLAG_CHECKSUM_MISSING,
  FLAG_IPV6,
  FLAG_TCP,
  FLAG_UDP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_MASK,
  FLAGS_TRANSPORT_SHIFT,
} from '../memory/formats'
import { addBytes, foldSum } from '../wire/checksum.inline.as'
import {
  ENTRY_ALONE,
  ENTRY_COUNT,
  ENTRY_FIXED_ID,
  ENTRY_HASH,
  ENTRY_NETWORK,
  ENTRY_NEXT_SEQUENCE,
  ENTRY_OFFLOAD,
  ENTRY_PAYLOAD,
  ENTRY_ROOM,
  ENTRY_SEGMENT,
} from './gro-layout.inline.as'
import {
  ETHERNET_BYTES,
  IPV4_ADDRESSES,
  IPV4_BYTES,
  IPV4_FRAGMENT,
  IPV4_PROTOCOL,
  IPV4_TOTAL,
  IPV6_ADDRESSES,
  IPV6_BYTES,
  IPV6_NEXT,
  IPV6_PAYLOAD,
  networkOf,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  pseudoSum,
  TCP_BYTES,
  TCP_SEQUENCE,
  TYPE_IPV4,
  TYPE_IPV6,
  tcpBytesOf,
  UDP_BYTES,
  UDP_CHECKSUM,
  UDP_LENGTH,
} from './transport.inline.as'

/** Version 4 and five words: a header with options is never merged. */
const IPV4_PLAIN: u32 = 0x45
const FRAGMENT_OF_MORE: u32 = 0x3fff
const FRAGMENT_RESERVED: u32 = 0x8000
/** Headers that may stand before the transport header: hop-by-hop, routing, destination options. */
const IPV6_HOP_BY_HOP: u32 = 0
const IPV6_ROUTING: u32 = 43
const IPV6_DESTINATION: u32 = 60

/**
 * Describes a packet as an entry. False where it goes by without a look at
 * those that wait, as in `inet_gro_receive`, `ipv6_gro_receive` and the begin of
 * `tcp4_gro_receive` and `udp_gro_receive_segment`: it is no plain TCP or UDP,
 * or its checksum is wrong. `kinds` are FLAG_TCP and FLAG_UDP, what is merged.
 */
export function readHeaders(entry: u32, descriptor: u32, kinds: u32): bool {
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const length = load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  if (length !== load<u32>(descriptor, DESCRIPTOR_WIRE) || length < ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES)
    return false
  v128.store(entry, v128.load(descriptor))
  // What has segments already has been merged: it can only end a flow.
  const isMerged = load<u32>(descriptor, DESCRIPTOR_FLAGS) >> FLAGS_SEGMENT_SHIFT !== 0
  store<u8>(entry, <u8>isMerged, ENTRY_ALONE)
  const network = networkOf(packet)
  store<u32>(entry, network, ENTRY_NETWORK)
  const type = <u32>load<u16>(packet + network - 2)
  const offload =
    type === TYPE_IPV4
      ? readIpv4(entry, packet, network, length)
      : type === TYPE_IPV6
        ? readIpv6(entry, packet, network, length)
        : 0
  if ((offload & kinds) === 0) return false
  store<u32>(entry, offload, ENTRY_OFFLOAD)
  if (!readTransport(entry, packet, (offload >> FLAGS_TRANSPORT_SHIFT) & FLAGS_TRANSPORT_MASK, length)) return false
  store<u32>(entry, 1, ENTRY_COUNT)
  store<u32>(entry, 0, ENTRY_ROOM)
  store<u8>(entry, 0, ENTRY_FIXED_ID)
  return load<u8>(entry, ENTRY_ALONE) !== 0 || hasRightChecksum(entry, packet, network, length)
}

/** Kind and place of the transport header, as bits of the flags, or 0; the hash of the addresses. */
function readIpv4(entry: u32, packet: u32, network: u32, length: u32): u32 {
  const at = packet + network
  if (length < network + IPV4_BYTES + UDP_BYTES || load<u8>(at) !== <u8>IPV4_PLAIN) return 0
  const fragment = <u32>bswap<u16>(load<u16>(at, IPV4_FRAGMENT))
  if (fragment & FRAGMENT_OF_MORE || foldSum(addBytes(0, at, IPV4_BYTES)) !== 0xffff) return 0
  const total = <u32>bswap<u16>(load<u16>(at, IPV4_TOTAL))
  if (total !== length - network || fragment & FRAGMENT_RESERVED) store<u8>(entry, 1, ENTRY_ALONE)
  store<u32>(entry, mix(mix(0, load<u32>(at, IPV4_ADDRESSES)), load<u32>(at, IPV4_ADDRESSES + 4)), ENTRY_HASH)
  return offloadOf(load<u8>(at, IPV4_PROTOCOL), network + IPV4_BYTES)
}

function readIpv6(entry: u32, packet: u32, network: u32, length: u32): u32 {
  const at = packet + network
  if (length < network + IPV6_BYTES + UDP_BYTES || load<u8>(at) >> 4 !== 6) return 0
  if (<u32>bswap<u16>(load<u16>(at, IPV6_PAYLOAD)) !== length - network - IPV6_BYTES) store<u8>(entry, 1, ENTRY_ALONE)
  let hash: u32 = 0
  for (let word = at + <u32>IPV6_ADDRESSES, end = word + 32; word < end; word += 4) hash = mix(hash, load<u32>(word))
  store<u32>(entry, hash, ENTRY_HASH)
  let next = <u32>load<u8>(at, IPV6_NEXT)
  let transport = network + IPV6_BYTES
  while (next === IPV6_HOP_BY_HOP || next === IPV6_ROUTING || next === IPV6_DESTINATION) {
    if (transport + 8 > length) return 0
    next = load<u8>(packet + transport)
    transport += (<u32>load<u8>(packet + transport, 1) + 1) << 3
  }
  return transport > <u32>FLAGS_TRANSPORT_MASK ? 0 : offloadOf(next, transport) | FLAG_IPV6
}

function offloadOf(protocol: u32, transport: u32): u32 {
  const kind = protocol === PROTOCOL_TCP ? FLAG_TCP : protocol === PROTOCOL_UDP ? FLAG_UDP : 0
  return kind | (transport << FLAGS_TRANSPORT_SHIFT)
}

/** Finds the payload, and adds the ports to the hash, which is never 0. */
function readTransport(entry: u32, packet: u32, transport: u32, length: u32): bool {
  const at = packet + transport
  let payload = transport + UDP_BYTES
  if (load<u32>(entry, ENTRY_OFFLOAD) & FLAG_TCP) {
    if (length < transport + TCP_BYTES) return false
    const bytes = tcpBytesOf(at)
    payload = transport + bytes
    if (bytes < TCP_BYTES || payload > length) return false
    store<u32>(entry, bswap<u32>(load<u32>(at, TCP_SEQUENCE)) + length - payload, ENTRY_NEXT_SEQUENCE)
  } else {
    // Without a checksum the copies could not have one either.
    if (payload >= length || load<u16>(at, UDP_CHECKSUM) === 0) return false
    if (<u32>bswap<u16>(load<u16>(at, UDP_LENGTH)) !== length - transport) return false
  }
  store<u32>(entry, payload, ENTRY_PAYLOAD)
  store<u32>(entry, length - payload, ENTRY_SEGMENT)
  const hash = mix(load<u32>(entry, ENTRY_HASH), load<u32>(at))
  store<u32>(entry, (hash ^ (hash >>> 15)) | 0x8000_0000, ENTRY_HASH)
  return true
}

function hasRightChecksum(entry: u32, packet: u32, network: u32, length: u32): bool {
  if (load<u32>(entry, DESCRIPTOR_FLAGS) & (FLAG_CHECKSUM_GOOD | FLAG_CHECKSUM_MISSING)) return true
  const offload = load<u32>(entry, ENTRY_OFFLOAD)
  const transport = (offload >> FLAGS_TRANSPORT_SHIFT) & FLAGS_TRANSPORT_MASK
  const bytes = length - transport
  if (foldSum(addBytes(pseudoSum(offload, packet + network, bytes), packet + transport, bytes)) !== 0xffff) return false
  store<u32>(entry, load<u32>(entry, DESCRIPTOR_FLAGS) | FLAG_CHECKSUM_GOOD, DESCRIPTOR_FLAGS)
  return true
}

function mix(hash: u32, word: u32): u32 {
  return rotl<u32>((hash ^ word) * 0x9e3779b1, 13) * 0x85ebca77
}
