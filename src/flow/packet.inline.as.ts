import { addBytes, foldSum } from '../wire/checksum.inline.as'
import {
  FLOWS_PACKET,
  KEY_DESTINATION,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_PROTOCOL,
  KEY_SOURCE,
  PACKET_END,
  PACKET_NETWORK,
  PACKET_TRANSPORT,
  TUPLE_ADDRESSES,
  VERDICT_INVALID,
  VERDICT_UNTRACKED,
} from './formats'

export const PROTOCOL_ICMP: u32 = 1
export const PROTOCOL_TCP: u32 = 6
export const PROTOCOL_UDP: u32 = 17
export const PROTOCOL_ICMPV6: u32 = 58
export const PROTOCOL_FRAGMENT: u32 = 44
export const FRAGMENT_HEADER_BYTES: u32 = 8
const PROTOCOL_DCCP: u32 = 33
export const PROTOCOL_SCTP: u32 = 132
const PROTOCOL_UDP_LITE: u32 = 136

const ETHERNET_BYTES: u32 = 14
const IPV4_BYTES: u32 = 20
const IPV6_BYTES: u32 = 40
/** EtherTypes as a little-endian machine reads them. */
const TYPE_IPV4: u32 = 0x0008
const TYPE_IPV6: u32 = 0xdd86
/** Fragment offset and "more fragments". */
const IS_FRAGMENT: u32 = 0xff3f
/** Of a fragment header's third and fourth byte, as they are loaded (RFC 8200, 4.5). */
const OFFSET_6: u32 = 0xf8ff
const ICMP_BYTES: u32 = 8
/** Extension headers that are walked. */
const MOST_EXTENSIONS = 8
/** What `walkIpv6` gives is not less where it has come to the end. */
export const WALKED: u32 = 0x2800
export const WALKED_SHIFT: u32 = 8
export const WALKED_PROTOCOL: u32 = 0xff

/** What `readPacket` gives beside verdicts: the key stands there; it is a fragment. */
export const READ: u32 = 0x200
export const READ_FRAGMENT: u32 = 0x201

/**
 * Reads an Ethernet frame's headers into the table's packet. Frames with VLAN
 * tags are not tracked, because the same addresses mean someone else there; nor
 * is what is not IP, or less of it than it says, or has a header with a wrong checksum.
 */
export function readPacket(flows: u32, packet: u32, captured: u32): u32 {
  const type = <u32>load<u16>(packet, 12)
  const at = packet + ETHERNET_BYTES
  if (type === TYPE_IPV4 && captured >= ETHERNET_BYTES + IPV4_BYTES) {
    return readIpv4(flows + FLOWS_PACKET, at, packet + captured)
  }
  if (type === TYPE_IPV6 && captured >= ETHERNET_BYTES + IPV6_BYTES) {
    return readIpv6(flows + FLOWS_PACKET, at, packet + captured)
  }
  return VERDICT_UNTRACKED
}

function readIpv4(context: u32, at: u32, limit: u32): u32 {
  const version = <u32>load<u8>(at)
  const headerBytes = (version & 15) << 2
  const total = <u32>bswap<u16>(load<u16>(at, 2))
  if (version >> 4 !== 4 || headerBytes < IPV4_BYTES || total < headerBytes || at + total > limit) {
    return VERDICT_UNTRACKED
  }
  if (version === 0x45 ? !isSumRight(at) : foldSum(addBytes(0, at, headerBytes)) !== 0xffff) return VERDICT_UNTRACKED
  store<u32>(context, at, PACKET_NETWORK)
  if ((<u32>load<u16>(at, 6) & IS_FRAGMENT) !== 0) return READ_FRAGMENT
  const protocol = <u32>load<u8>(at, 9)
  store<u64>(context, load<u64>(at, 12), KEY_SOURCE)
  store<u32>(context, at + headerBytes, PACKET_TRANSPORT)
  store<u32>(context, at + total, PACKET_END)
  return readPorts(context, protocol, at + headerBytes, at + total, 4)
}

/** Whether the 20 bytes of a header sum up to -0. */
export function isSumRight(at: u32): bool {
  const one = load<u64>(at)
  const two = load<u64>(at, 8)
  let sum = (one & 0xffffffff) + (one >> 32) + (two & 0xffffffff) + (two >> 32) + <u64>load<u32>(at, 16)
  sum = (sum & 0xffffffff) + (sum >> 32)
  const folded = <u32>sum + <u32>(sum >> 32)
  return (folded + rotl<u32>(folded, 16)) >> 16 === 0xffff
}

function readIpv6(context: u32, at: u32, limit: u32): u32 {
  const end = at + IPV6_BYTES + <u32>bswap<u16>(load<u16>(at, 4))
  if (load<u8>(at) >> 4 !== 6 || end > limit) return VERDICT_UNTRACKED
  store<u32>(context, at, PACKET_NETWORK)
  const walked = walkIpv6(at, end)
  if (walked < WALKED) return walked
  const transport = at + (walked >> WALKED_SHIFT)
  writeIpv6Key(context, at + 8)
  store<u32>(context, transport, PACKET_TRANSPORT)
  store<u32>(context, end, PACKET_END)
  return readPorts(context, walked & WALKED_PROTOCOL, transport, end, 6)
}

/**
 * Bytes of the IPv6 header at `at` and its extensions, shifted, and the protocol
 * behind them; or less than WALKED: READ_FRAGMENT, or VERDICT_INVALID where they
 * are not whole, or more than are walked, so that whoever walks them again finds an end.
 */
export function walkIpv6(at: u32, end: u32): u32 {
  return walkFrom(at, at + IPV6_BYTES, <u32>load<u8>(at, 6), end)
}

/** The same from the header at `begin` on, which is of that kind. */
export function walkFrom(at: u32, begin: u32, kind: u32, end: u32): u32 {
  let transport = begin
  let protocol = kind
  for (let header = 0; isExtension(protocol); header++) {
    if (header === MOST_EXTENSIONS || transport + 8 > end) return VERDICT_INVALID
    if (protocol === PROTOCOL_FRAGMENT) return READ_FRAGMENT
    protocol = load<u8>(transport)
    transport += (<u32>load<u8>(transport, 1) + 1) << 3
  }
  return ((transport - at) << WALKED_SHIFT) | protocol
}

/** The fragment header of an IPv6 packet whose headers have been walked, or 0 where it has none. */
export function fragmentHeader(network: u32): u32 {
  let header = network + IPV6_BYTES
  let next = <u32>load<u8>(network, 6)
  while (next !== PROTOCOL_FRAGMENT && isExtension(next)) {
    next = load<u8>(header)
    header += (<u32>load<u8>(header, 1) + 1) << 3
  }
  return next === PROTOCOL_FRAGMENT ? header : 0
}

/** Whether a packet with that fragment header is not the first one of its datagram. */
export function isLater(header: u32): bool {
  return (<u32>load<u16>(header, 2) & OFFSET_6) !== 0
}

export function isExtension(protocol: u32): bool {
  return protocol === 0 || protocol === 43 || protocol === PROTOCOL_FRAGMENT || protocol === 60
}

/** Writes the addresses at `addresses` and their sums into a key. */
export function writeIpv6Key(tuple: u32, addresses: u32): void {
  memory.copy(tuple + <u32>TUPLE_ADDRESSES, addresses, 32)
  sumAddresses(tuple)
}

/** Writes what stands for the IPv6 addresses of a key in its first 16 bytes. */
export function sumAddresses(tuple: u32): void {
  for (let side: u32 = 0; side < 2; side++) {
    const at = tuple + <u32>TUPLE_ADDRESSES + side * 16
    const sum = load<u32>(at) + load<u32>(at, 4) * 3 + load<u32>(at, 8) * 5 + load<u32>(at, 12) * 7
    store<u32>(tuple + side * 4, sum, KEY_SOURCE)
  }
}

/**
 * Writes what stands for ports into a key, with protocol and family in one
 * store, as they are read; a header that is not whole is invalid.
 */
export function readPorts(tuple: u32, protocol: u32, transport: u32, end: u32, family: u32): u32 {
  let ports: u32 = 0
  if (hasPorts(protocol)) {
    if (transport + 4 > end) return VERDICT_INVALID
    ports = load<u32>(transport)
  } else if (isIcmp(protocol, family)) {
    if (transport + ICMP_BYTES > end) return VERDICT_INVALID
    ports = <u32>load<u16>(transport, 4) | ((<u32>load<u16>(transport)) << 16)
  }
  store<u64>(tuple, <u64>ports | ((<u64>(protocol | (family << 8))) << 32), KEY_PORTS)
  return READ
}

export function hasPorts(protocol: u32): bool {
  return (
    protocol === PROTOCOL_TCP ||
    protocol === PROTOCOL_UDP ||
    protocol === PROTOCOL_SCTP ||
    protocol === PROTOCOL_DCCP ||
    protocol === PROTOCOL_UDP_LITE
  )
}

export function isIcmp(protocol: u32, family: u32): bool {
  return family === 4 ? protocol === PROTOCOL_ICMP : protocol === PROTOCOL_ICMPV6
}

/**
 * Writes the key of what answers to `tuple` to `answer`; false where nothing
 * does: an ICMP type that is neither a request nor an answer to one.
 */
export function invert(tuple: u32, answer: u32): bool {
  const ports = load<u32>(tuple, KEY_PORTS)
  const kind = (<u64>load<u32>(tuple, KEY_PROTOCOL)) << 32
  const protocol = <u32>load<u8>(tuple, KEY_PROTOCOL)
  const family = <u32>load<u8>(tuple, KEY_FAMILY)
  store<u32>(answer, load<u32>(tuple, KEY_DESTINATION), KEY_SOURCE)
  store<u32>(answer, load<u32>(tuple, KEY_SOURCE), KEY_DESTINATION)
  if (family === 6) {
    v128.store(answer, v128.load(tuple, TUPLE_ADDRESSES + 16), TUPLE_ADDRESSES)
    v128.store(answer, v128.load(tuple, TUPLE_ADDRESSES), TUPLE_ADDRESSES + 16)
  }
  if (!isIcmp(protocol, family)) {
    store<u64>(answer, <u64>rotl<u32>(ports, 16) | kind, KEY_PORTS)
    return true
  }
  const type = (ports >> 16) & 0xff
  const other = family === 4 ? answerType(type) : answerType6(type)
  store<u64>(answer, <u64>((ports & 0xff00ffff) | ((other & 0xff) << 16)) | kind, KEY_PORTS)
  return other !== NO_TYPE
}

const NO_TYPE: u32 = 0xffff

/** Echo, timestamp, information, address mask (RFC 792, 950). */
function answerType(type: u32): u32 {
  if (type === 8) return 0
  if (type === 0) return 8
  return type >= 13 && type <= 18 ? ((type - 13) ^ 1) + 13 : NO_TYPE
}

/** Echo, node information (RFC 4443, 4620). */
function answerType6(type: u32): u32 {
  return (type & 0xfe) === 128 ? type ^ 1 : type === 139 ? 140 : type === 140 ? 139 : NO_TYPE
}

/** Whether an ICMP packet of this type may open a flow. */
export function isRequest(type: u32, family: u32): bool {
  return family === 4 ? type === 8 || type === 13 || type === 15 || type === 17 : type === 128 || type === 139
}
