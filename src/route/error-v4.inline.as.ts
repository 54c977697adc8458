import { addBytes, foldSum } from '../wire/checksum.inline.as'
import {
  FAULT_ABOUT_ERROR,
  FAULT_FROM_NO_HOST,
  FAULT_LATER_FRAGMENT,
  FAULT_MALFORMED,
  FAULT_TO_MANY,
  NO_FAULT,
} from './error-words.inline.as'
import { ERRORS_HOPS, ERRORS_IDENTIFICATION } from './errors-formats'
import {
  FIB_ROOT_SHIFT,
  HOP_WAY,
  KIND_FORWARD,
  NOTE_HOP_BEFORE,
  NOTE_NO_NEIGHBOUR,
  NOTE_NO_ROUTE,
  NOTE_PROHIBITED,
  NOTE_REASON_BEFORE,
  NOTE_TIME_EXCEEDED,
  NOTE_TOO_BIG,
  NOTE_UNREACHABLE,
  TABLES_V4,
} from './formats'
import { leafOf4, rootEntry } from './lookup.inline.as'
import { NO_MESSAGE, SOURCE_4 } from './sources.inline.as'
import { wayKind, wayMtu } from './way.inline.as'
import { hopLine, hopOf } from './ways.inline.as'

const NETWORK: u32 = 14
const HEADER_BYTES: u32 = 20
const ICMP_BYTES: u32 = 8
/** Offsets from the packet's first byte (RFC 791, 3.1). */
const SERVICE: usize = 15
const TOTAL: usize = 16
const FRAGMENT: usize = 20
const PROTOCOL: usize = 23
const DESTINATION: usize = 30
const FRAGMENT_OFFSET: u32 = 0x1fff
const ICMP: u32 = 1
/** An answer is no longer, from the IPv4 header on (RFC 1812, 4.3.2.3), nor is a host's buffer sure to be (RFC 791). */
const MOST_BYTES: u32 = 576
const LEAST_MTU: u32 = 68
/** Precedence 6, internetwork control, and the bits of the packet's type of service (RFC 1812, 4.3.2.5). */
const PRECEDENCE: u32 = 0xc0
const SERVICE_MASK: u32 = 0x1e
/** A step from one identification to the next that returns after all 65,536 and is no count of what was sent. */
const STEP_FACTOR: u32 = 25_173
const STEP: u32 = 13_849

/** Type << 8 | code of what is said about a note (RFC 792; RFC 1812, 5.2.7.1), as the kernel says it; else NO_MESSAGE. */
export function message4(reason: u32): u32 {
  if (reason === NOTE_TIME_EXCEEDED) return 0x0b00
  if (reason === NOTE_NO_ROUTE) return 0x0300
  if (reason === NOTE_UNREACHABLE || reason === NOTE_NO_NEIGHBOUR) return 0x0301
  if (reason === NOTE_TOO_BIG) return 0x0304
  return reason === NOTE_PROHIBITED ? 0x030d : NO_MESSAGE
}

/** What speaks against an answer about a packet (RFC 1812, 4.3.2.7). */
export function checkQuoted4(packet: u32, captured: u32): u32 {
  const whole: u32 = captured < NETWORK + HEADER_BYTES ? 0 : bswap<u16>(load<u16>(packet, TOTAL))
  if (whole < HEADER_BYTES || NETWORK + whole > captured) return FAULT_MALFORMED
  if ((<u32>bswap<u16>(load<u16>(packet, FRAGMENT)) & FRAGMENT_OFFSET) !== 0) return FAULT_LATER_FRAGMENT
  if (<u32>load<u8>(packet, DESTINATION) >= 224) return FAULT_TO_MANY
  const source: u32 = load<u8>(packet, SOURCE_4)
  if (source === 0 || source === 127 || source >= 224) return FAULT_FROM_NO_HOST
  return <u32>load<u8>(packet, PROTOCOL) === ICMP && isError(packet, captured) ? FAULT_ABOUT_ERROR : NO_FAULT
}

/** Whether an ICMP message is not one of those that ask or answer; a type that nobody knows is taken for an error. */
function isError(packet: u32, captured: u32): bool {
  const at = NETWORK + ((<u32>load<u8>(packet, NETWORK) & 15) << 2)
  if (at >= captured) return true
  const type: u32 = load<u8>(packet + at)
  // Echo 0 and 8, router discovery 9 and 10, time stamp, information and address mask 13 to 18.
  return type > 18 || ((1 << type) & 0b111_1110_0111_0000_0001) === 0
}

/** The next hop that leads back to the source. */
export function backTo4(tables: u32, descriptor: u32, packet: u32): u32 {
  const fib = tables + TABLES_V4
  const address = bswap<u32>(load<u32>(packet, SOURCE_4))
  const leaf = leafOf4(load<u32>(rootEntry(fib, address)), load<u32>(fib, FIB_ROOT_SHIFT), address)
  return hopOf(tables, leaf, descriptor, packet)
}

/** Writes the answer from the address at `source` to `to`; gives its bytes. `back` is the way that it will take. */
export function writeAnswer4(state: u32, tables: u32, packet: u32, to: u32, source: u32, message: u32, back: u32): u32 {
  const isSent = wayKind(back) === KIND_FORWARD
  const most: u32 = isSent ? max<u32>(LEAST_MTU, min<u32>(MOST_BYTES, wayMtu(back))) : MOST_BYTES
  const whole: u32 = bswap<u16>(load<u16>(packet, TOTAL))
  const quoted: u32 = min<u32>(whole, most - HEADER_BYTES - ICMP_BYTES)
  const total = HEADER_BYTES + ICMP_BYTES + quoted
  memory.fill(to, 0, NETWORK + HEADER_BYTES + ICMP_BYTES)
  store<u16>(to, 0x0008, 12)
  writeHeader(state, packet, to + NETWORK, source, total)
  const icmp = to + NETWORK + HEADER_BYTES
  store<u16>(icmp, bswap<u16>(<u16>message))
  if (<u32>load<u8>(packet - NOTE_REASON_BEFORE) === NOTE_TOO_BIG) {
    // RFC 1191, 4.
    const way = load<u32>(hopLine(tables, load<u32>(packet - NOTE_HOP_BEFORE)), HOP_WAY)
    store<u16>(icmp, bswap<u16>(<u16>wayMtu(way)), 6)
  }
  memory.copy(icmp + ICMP_BYTES, packet + NETWORK, quoted)
  store<u16>(icmp, <u16>(foldSum(addBytes(0, icmp, ICMP_BYTES + quoted)) ^ 0xffff), 2)
  return NETWORK + total
}

function writeHeader(state: u32, packet: u32, header: u32, source: u32, total: u32): void {
  const identification = load<u32>(state, ERRORS_IDENTIFICATION)
  store<u32>(state, (identification * STEP_FACTOR + STEP) & 0xffff, ERRORS_IDENTIFICATION)
  store<u8>(header, 0x45)
  store<u8>(header, <u8>((<u32>load<u8>(packet, SERVICE) & SERVICE_MASK) | PRECEDENCE), 1)
  store<u16>(header, bswap<u16>(<u16>total), 2)
  store<u16>(header, <u16>identification, 4)
  store<u8>(header, <u8>load<u32>(state, ERRORS_HOPS), 8)
  store<u8>(header, <u8>ICMP, 9)
  store<u32>(header, load<u32>(source), 12)
  store<u32>(header, load<u32>(packet, SOURCE_4), 16)
  store<u16>(header, <u16>(foldSum(addBytes(0, header, HEADER_BYTES)) ^ 0xffff), 10)
}
