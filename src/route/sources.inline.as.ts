import { isLinkLocal } from './address-v6.inline.as'
import { ERRORS_FROM_INCOMING, ERRORS_PORTS, ERRORS_SETTINGS } from './errors-formats'
import {
  HOP_SOURCE,
  HOP_WAY,
  KIND_FORWARD,
  KIND_UNRESOLVED,
  NOTE_PORT_BEFORE,
  PORT_BYTES,
  PORT_V4,
  PORT_V4_COUNT,
  PORT_V6,
  PORT_V6_COUNT,
  TABLES_PORTS,
} from './formats'
import { wayKind, wayPort } from './way.inline.as'
import { hopLine } from './ways.inline.as'

/** No ICMP message says what a note says. */
export const NO_MESSAGE: u32 = 0xffffffff

/** Where the source stands in a packet, from its first byte. */
export const SOURCE_4: u32 = 26
export const SOURCE_6: u32 = 22

/**
 * Where the address stands that an answer comes from: one of the port by which
 * `back` leads, or of the one that the packet came by; of another port where
 * that has none (RFC 1812, 4.3.2.4); 0 where no port has one.
 */
export function addressFor(state: u32, tables: u32, packet: u32, back: u32, isIpv6: bool): u32 {
  const ports = load<u32>(state, ERRORS_PORTS)
  const line = hopLine(tables, back)
  const way = load<u32>(line, HOP_WAY)
  const kind = wayKind(way)
  const isIncoming = (load<u32>(state, ERRORS_SETTINGS) & ERRORS_FROM_INCOMING) !== 0
  const isOutgoing = !isIncoming && (kind === KIND_FORWARD || kind === KIND_UNRESOLVED)
  const port: u32 = isOutgoing ? wayPort(way) : <u32>load<u8>(packet - NOTE_PORT_BEFORE)
  if (port < ports) {
    const own = addressOf(tables, port, isOutgoing ? load<u32>(line, HOP_SOURCE) : 0, isIpv6)
    if (own !== 0) return own
  }
  for (let other: u32 = 0; other < ports; other++) {
    const found = addressOf(tables, other, 0, isIpv6)
    if (found !== 0) return found
  }
  return 0
}

/** Address `index` of a port, or its first where there are not as many; 0 where that cannot be used beyond its link. */
function addressOf(tables: u32, port: u32, index: u32, isIpv6: bool): u32 {
  const line = load<u32>(tables, TABLES_PORTS) + port * PORT_BYTES
  const count = isIpv6 ? load<u32>(line, PORT_V6_COUNT) : load<u32>(line, PORT_V4_COUNT)
  if (count === 0) return 0
  const chosen: u32 = index < count ? index : 0
  if (!isIpv6) return line + PORT_V4 + (chosen << 2)
  const address = line + PORT_V6 + (chosen << 4)
  return isLinkLocal(address) ? 0 : address
}
