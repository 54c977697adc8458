import {
  DROP_MALFORMED,
  FLOWS_PACKET,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_SOURCE,
  PACKET_END,
  PACKET_NETWORK,
  PACKET_TRANSPORT,
  TUPLE_BYTES,
} from './formats'
import {
  DATAGRAMS_AT,
  DATAGRAMS_BEGIN,
  DATAGRAMS_END,
  DATAGRAMS_KEY,
  DATAGRAMS_MORE,
  DATAGRAMS_PROTOCOL,
} from './fragment-formats'
import {
  FRAGMENT_HEADER_BYTES,
  fragmentHeader,
  hasPorts,
  isIcmp,
  PROTOCOL_FRAGMENT,
  PROTOCOL_TCP,
  READ,
  readPorts,
  WALKED,
  WALKED_PROTOCOL,
  WALKED_SHIFT,
  walkFrom,
  writeIpv6Key,
} from './packet.inline.as'

const IPV6_BYTES: u32 = 40
const TCP_BYTES: u32 = 20
/** Flags and offset, as numbers (RFC 791, 3.1; RFC 8200, 4.5). */
const MORE_4: u32 = 0x2000
const OFFSET_4: u32 = 0x1fff
const MORE_6: u32 = 1
const OFFSET_6: u32 = 0xfff8
const MOST_BYTES: u32 = 0xffff
/** Where a UDP, ICMP or other header ends of which ports or an identifier are known. */
const SHORTEST_TRANSPORT: u32 = 8

/**
 * Reads which bytes of which datagram a fragment has, of which `readPacket` has
 * read the headers so far, into the table's head. Gives a drop, or 0: all but
 * the last have a multiple of eight bytes, and no datagram is longer than 65535.
 */
export function readFragment(flows: u32, table: u32): u32 {
  const network = load<u32>(flows + FLOWS_PACKET, PACKET_NETWORK)
  const key = table + <u32>DATAGRAMS_KEY
  memory.fill(key, 0, TUPLE_BYTES)
  return load<u8>(network) >> 4 === 4 ? read4(table, key, network) : read6(table, key, network)
}

function read4(table: u32, key: u32, network: u32): u32 {
  const headerBytes = (<u32>load<u8>(network) & 15) << 2
  const total = <u32>bswap<u16>(load<u16>(network, 2))
  const field = <u32>bswap<u16>(load<u16>(network, 6))
  const protocol = <u32>load<u8>(network, 9)
  store<u64>(key, load<u64>(network, 12), KEY_SOURCE)
  store<u64>(key, <u64>load<u16>(network, 4) | ((<u64>(protocol | 0x400)) << 32), KEY_PORTS)
  store<u32>(table, protocol, DATAGRAMS_PROTOCOL)
  const begin = (field & OFFSET_4) << 3
  return note(table, network + headerBytes, begin, total - headerBytes, field & MORE_4, MOST_BYTES - headerBytes)
}

function read6(table: u32, key: u32, network: u32): u32 {
  const end = network + IPV6_BYTES + <u32>bswap<u16>(load<u16>(network, 4))
  const header = fragmentHeader(network)
  writeIpv6Key(key, network + 8)
  store<u64>(key, <u64>load<u32>(header, 4) | ((<u64>(PROTOCOL_FRAGMENT | 0x600)) << 32), KEY_PORTS)
  store<u32>(table, load<u8>(header), DATAGRAMS_PROTOCOL)
  const field = <u32>bswap<u16>(load<u16>(header, 2))
  const at = header + FRAGMENT_HEADER_BYTES
  return note(table, at, field & OFFSET_6, end - at, field & MORE_6, MOST_BYTES)
}

function note(table: u32, at: u32, begin: u32, bytes: u32, more: u32, most: u32): u32 {
  store<u32>(table, at, DATAGRAMS_AT)
  store<u32>(table, begin, DATAGRAMS_BEGIN)
  store<u32>(table, begin + bytes, DATAGRAMS_END)
  store<u32>(table, more, DATAGRAMS_MORE)
  return bytes === 0 || begin + bytes > most || (more !== 0 && (bytes & 7) !== 0) ? DROP_MALFORMED : 0
}

/**
 * Reads the key of the flow of a first fragment into the table's packet. False
 * where the headers go on in another one: who looks at ports must see them at
 * once (RFC 1858, RFC 3128, RFC 7112).
 */
export function readFirst(flows: u32, table: u32): bool {
  const context = flows + FLOWS_PACKET
  memory.copy(context, table + <u32>DATAGRAMS_KEY, TUPLE_BYTES)
  const family = <u32>load<u8>(context, KEY_FAMILY)
  const end = load<u32>(table, DATAGRAMS_AT) + load<u32>(table, DATAGRAMS_END) - load<u32>(table, DATAGRAMS_BEGIN)
  let protocol = load<u32>(table, DATAGRAMS_PROTOCOL)
  let transport = load<u32>(table, DATAGRAMS_AT)
  if (family === 6) {
    const network = load<u32>(context, PACKET_NETWORK)
    const walked = walkFrom(network, transport, protocol, end)
    if (walked < WALKED) return false
    protocol = walked & WALKED_PROTOCOL
    transport = network + (walked >> WALKED_SHIFT)
  }
  store<u32>(context, transport, PACKET_TRANSPORT)
  store<u32>(context, end, PACKET_END)
  if (transport + transportBytes(protocol, family) > end) return false
  return readPorts(context, protocol, transport, end, family) === READ
}

function transportBytes(protocol: u32, family: u32): u32 {
  if (protocol === PROTOCOL_TCP) return TCP_BYTES
  return hasPorts(protocol) || isIcmp(protocol, family) ? SHORTEST_TRANSPORT : 0
}

/** Writes the key of the flow that a later fragment belongs to into the table's packet. */
export function readLater(flows: u32, table: u32, ports: u32, protocol: u32): void {
  const context = flows + FLOWS_PACKET
  memory.copy(context, table + <u32>DATAGRAMS_KEY, TUPLE_BYTES)
  const family = <u32>load<u8>(context, KEY_FAMILY)
  store<u64>(context, <u64>ports | ((<u64>(protocol | (family << 8))) << 32), KEY_PORTS)
}
