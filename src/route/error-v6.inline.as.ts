import { addBytes, foldSum } from '../wire/checksum.inline.as'
import { isLinkLocal, isReserved } from './address-v6.inline.as'
import {
  FAULT_ABOUT_ERROR,
  FAULT_FROM_NO_HOST,
  FAULT_LINK_LOCAL,
  FAULT_MALFORMED,
  FAULT_TO_MANY,
  NO_FAULT,
} from './error-words.inline.as'
import { ERRORS_HOPS } from './errors-formats'
import {
  FIB_ROOT_SHIFT,
  HOP_WAY,
  NOTE_BEYOND_SCOPE,
  NOTE_HOP_BEFORE,
  NOTE_NO_NEIGHBOUR,
  NOTE_NO_ROUTE,
  NOTE_PROHIBITED,
  NOTE_REASON_BEFORE,
  NOTE_TIME_EXCEEDED,
  NOTE_TOO_BIG,
  NOTE_UNREACHABLE,
  TABLES_V6,
} from './formats'
import { leafOf6, rootEntry } from './lookup.inline.as'
import { NO_MESSAGE, SOURCE_6 } from './sources.inline.as'
import { wayMtu } from './way.inline.as'
import { hopLine, hopOf } from './ways.inline.as'

const NETWORK: u32 = 14
const HEADER_BYTES: u32 = 40
const ICMP_BYTES: u32 = 8
/** Offsets from the packet's first byte (RFC 8200, 3). */
const PAYLOAD: usize = 18
const NEXT_HEADER: usize = 20
const DESTINATION: usize = 38
const ICMPV6: u32 = 58
const FRAGMENT: u32 = 44
const AUTHENTICATION: u32 = 51
/** What every link carries (RFC 8200, 5): an answer is no longer, and no MTU less than it is told. */
const LEAST_MTU: u32 = 1280
const REDIRECT: u32 = 137
/** More extension headers than any host sends. */
const MOST_HEADERS = 16

/** Type << 8 | code of what is said about a note (RFC 4443, 3.1 to 3.3), as the kernel says it; else NO_MESSAGE. */
export function message6(reason: u32): u32 {
  if (reason === NOTE_TIME_EXCEEDED) return 0x0300
  if (reason === NOTE_NO_ROUTE || reason === NOTE_UNREACHABLE) return 0x0100
  if (reason === NOTE_PROHIBITED) return 0x0101
  if (reason === NOTE_BEYOND_SCOPE) return 0x0102
  if (reason === NOTE_NO_NEIGHBOUR) return 0x0103
  return reason === NOTE_TOO_BIG ? 0x0200 : NO_MESSAGE
}

/** What speaks against an answer about a packet (RFC 4443, 2.4 (e)). */
export function checkQuoted6(packet: u32, captured: u32, reason: u32): u32 {
  if (captured < NETWORK + HEADER_BYTES) return FAULT_MALFORMED
  if (NETWORK + HEADER_BYTES + <u32>bswap<u16>(load<u16>(packet, PAYLOAD)) > captured) return FAULT_MALFORMED
  if (<u32>load<u8>(packet, DESTINATION) === 0xff && reason !== NOTE_TOO_BIG) return FAULT_TO_MANY
  const source = packet + SOURCE_6
  if (<u32>load<u8>(source) === 0xff || isReserved(source)) return FAULT_FROM_NO_HOST
  if (isAboutError(packet, captured)) return FAULT_ABOUT_ERROR
  // The way there begins at the link that it came by, of which routes know nothing.
  return isLinkLocal(source) ? FAULT_LINK_LOCAL : NO_FAULT
}

/** Whether behind the extension headers an ICMPv6 error or a redirect begins; of a later fragment nobody knows. */
function isAboutError(packet: u32, captured: u32): bool {
  let next: u32 = load<u8>(packet, NEXT_HEADER)
  let at = NETWORK + HEADER_BYTES
  for (let count = 0; count < MOST_HEADERS && isExtension(next) && at + 8 <= captured; count++) {
    const header = packet + at
    if (next === FRAGMENT && <u32>bswap<u16>(load<u16>(header, 2)) >> 3 !== 0) return false
    const length: u32 = load<u8>(header, 1)
    if (next === FRAGMENT) at += 8
    else at += next === AUTHENTICATION ? (length + 2) << 2 : (length + 1) << 3
    next = load<u8>(header)
  }
  if (next !== ICMPV6) return false
  if (at >= captured) return true
  const type: u32 = load<u8>(packet + at)
  return type < 128 || type === REDIRECT
}

/** Hop-by-hop options, routing, fragment, authentication and destination options (RFC 8200, 4.1). */
function isExtension(header: u32): bool {
  return header === 0 || header === 43 || header === FRAGMENT || header === AUTHENTICATION || header === 60
}

/** The next hop that leads back to the source. */
export function backTo6(tables: u32, descriptor: u32, packet: u32): u32 {
  const fib = tables + TABLES_V6
  const address = packet + SOURCE_6
  const entry = load<u32>(rootEntry(fib, bswap<u32>(load<u32>(address))))
  return hopOf(tables, leafOf6(entry, load<u32>(fib, FIB_ROOT_SHIFT), address), descriptor, packet)
}

/** Writes the answer from the address at `source` to `to`; gives its bytes. */
export function writeAnswer6(state: u32, tables: u32, packet: u32, to: u32, source: u32, message: u32): u32 {
  const whole = HEADER_BYTES + <u32>bswap<u16>(load<u16>(packet, PAYLOAD))
  const quoted: u32 = min<u32>(whole, LEAST_MTU - HEADER_BYTES - ICMP_BYTES)
  memory.fill(to, 0, NETWORK + HEADER_BYTES + ICMP_BYTES)
  store<u16>(to, 0xdd86, 12)
  const header = to + NETWORK
  store<u8>(header, 0x60)
  store<u16>(header, bswap<u16>(<u16>(ICMP_BYTES + quoted)), 4)
  store<u8>(header, <u8>ICMPV6, 6)
  store<u8>(header, <u8>load<u32>(state, ERRORS_HOPS), 7)
  v128.store(header, v128.load(source), 8)
  v128.store(header, v128.load(packet + SOURCE_6), 24)
  const icmp = header + HEADER_BYTES
  store<u16>(icmp, bswap<u16>(<u16>message))
  if (<u32>load<u8>(packet - NOTE_REASON_BEFORE) === NOTE_TOO_BIG) {
    const way = load<u32>(hopLine(tables, load<u32>(packet - NOTE_HOP_BEFORE)), HOP_WAY)
    store<u32>(icmp, bswap<u32>(max<u32>(LEAST_MTU, wayMtu(way))), 4)
  }
  memory.copy(icmp + ICMP_BYTES, packet + NETWORK, quoted)
  const pseudo = addBytes(0, header + 8, 32) + <u64>bswap<u16>(<u16>(ICMP_BYTES + quoted)) + ((<u64>ICMPV6) << 8)
  store<u16>(icmp, <u16>(foldSum(addBytes(pseudo, icmp, ICMP_BYTES + quoted)) ^ 0xffff), 2)
  return NETWORK + HEADER_BYTES + ICMP_BYTES + quoted
}
