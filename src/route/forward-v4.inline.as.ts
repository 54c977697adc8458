import { addBytes, foldSum } from '../wire/checksum.inline.as'
import { ETHERNET_BYTES } from './ethernet.inline.as'
import {
  DROP_CHECKSUM,
  DROP_MALFORMED,
  DROP_MARTIAN,
  FIB_ROOT_SHIFT,
  FORWARD_CHECKSUM,
  FORWARD_MARTIANS,
  HOP_WAY,
  NOTE_FRAGMENT,
  NOTE_TOO_BIG,
  PLAIN_IPV4,
  STAGE_PORTS,
  STAGE_SETTINGS,
  TABLES_V4,
  TO_DROPS,
  TO_LOCAL,
} from './formats'
import { leafOf4, rootEntry } from './lookup.inline.as'
import { wayMtu } from './way.inline.as'
import {
  checkSource,
  checksSource,
  hopLine,
  hopOf,
  isUsual,
  judge,
  PASSES,
  rewriteEthernet,
  segmentBytes,
} from './ways.inline.as'

/** Leaves EtherType, version and header length. */
export const PLAIN_MASK: u32 = 0xffffff
const HEADER_BYTES: u32 = 20
/** Offsets from the packet's first byte (RFC 791, 3.1). */
export const VERSION: usize = 14
export const TOTAL: usize = 16
/** Identification, then flags and offset. */
export const FRAGMENT_WORD: usize = 18
const FRAGMENT: usize = 20
/** Time to live, protocol and checksum, as one word. */
export const LIVE: usize = 22
export const SOURCE: usize = 26
export const DESTINATION: usize = 30
/** As it is loaded. */
const DO_NOT_FRAGMENT: u32 = 0x40
const BROADCAST: u32 = 0xffffffff

/** The reason to drop a packet of `captured` bytes, at least 34, for its header; else 0 (RFC 1812, 5.2.2). */
export function check4(stage: u32, packet: u32, captured: u32, types: u32): u32 {
  const total: u32 = bswap<u16>(load<u16>(packet, TOTAL))
  if (total < HEADER_BYTES || total + ETHERNET_BYTES > captured) return TO_DROPS + DROP_MALFORMED
  if ((types & PLAIN_MASK) !== PLAIN_IPV4) return checkOptions(stage, packet, total)
  if (
    (load<u32>(stage, STAGE_SETTINGS) & FORWARD_CHECKSUM) === 0 ||
    foldSum(addBytes(0, packet + ETHERNET_BYTES, HEADER_BYTES)) === 0xffff
  )
    return 0
  return TO_DROPS + DROP_CHECKSUM
}

function checkOptions(stage: u32, packet: u32, total: u32): u32 {
  const version: u32 = load<u8>(packet, VERSION)
  const bytes = (version & 15) << 2
  if (version >> 4 !== 4 || bytes < HEADER_BYTES || bytes > total) return TO_DROPS + DROP_MALFORMED
  if ((load<u32>(stage, STAGE_SETTINGS) & FORWARD_CHECKSUM) === 0) return 0
  return foldSum(addBytes(0, packet + ETHERNET_BYTES, bytes)) === 0xffff ? 0 : TO_DROPS + DROP_CHECKSUM
}

/** Where an IPv4 packet with a right header goes, as `wayOf` says. */
export function way4(stage: u32, tables: u32, descriptor: u32, packet: u32, isOwn: bool): u32 {
  const fib = tables + TABLES_V4
  const source = load<u32>(packet, SOURCE)
  const destination = load<u32>(packet, DESTINATION)
  if (isSpecial(source) || isSpecial(destination)) {
    const to = special(stage, source, destination)
    if (to !== PASSES) return to
  }
  if (checksSource(stage)) {
    const to = checkSource(stage, tables, leaf4(fib, source))
    if (to !== PASSES) return to
  }
  const hop = hopOf(tables, leaf4(fib, destination), descriptor, packet)
  const way = load<u32>(hopLine(tables, hop), HOP_WAY)
  const total: u32 = bswap<u16>(load<u16>(packet, TOTAL))
  const live = load<u32>(packet, LIVE)
  if (!isUsual(stage, way, total, live & 0xff, isOwn)) {
    const to = judge(stage, packet, hop, way, live & 0xff, excess(descriptor, packet, total, way), isOwn)
    if (to !== PASSES) return to
  }
  store<u32>(packet, shorten(live), LIVE)
  return rewriteEthernet(tables, packet, hop, way)
}

/** The leaf of the destination of an IPv4 packet. */
export function destinationLeaf4(tables: u32, packet: u32): u32 {
  return leaf4(tables + TABLES_V4, load<u32>(packet, DESTINATION))
}

function leaf4(fib: u32, loaded: u32): u32 {
  const address = bswap<u32>(loaded)
  return leafOf4(load<u32>(rootEntry(fib, address)), load<u32>(fib, FIB_ROOT_SHIFT), address)
}

/**
 * Time to live less 1, and the checksum as RFC 1624 has it (equation 3): the
 * word that the former stands in shrinks by 1 as it is loaded, so the sum grows
 * by 1; 0xffff, which no header sums up to, becomes 0, and what lies beyond is
 * carried round.
 */
export function shorten(live: u32): u32 {
  return live + 0xffff + ((<u32>(live >= 0xfffe0000)) << 16)
}

/** By its first byte: this network, loopback, multicast, and what is reserved behind it. */
function isSpecial(loaded: u32): bool {
  const byte = loaded & 0xff
  return (u32(byte - 1 >= 223) | u32(byte === 127)) !== 0
}

/**
 * Addresses that are not for routes (RFC 1812, 5.3.7; RFC 6890): where a packet
 * with one goes, or PASSES. What is for all or for many is for the router too.
 */
function special(stage: u32, source: u32, destination: u32): u32 {
  const local = load<u32>(stage, STAGE_PORTS) + TO_LOCAL
  const isToMany = destination === BROADCAST || (destination & 0xf0) === 0xe0
  const isMartian = isSpecial(source) || (isSpecial(destination) && !isToMany)
  // Who has no address yet asks for one (RFC 2131, 4.1).
  if (source === 0 && destination === BROADCAST) return local
  if (isMartian && (load<u32>(stage, STAGE_SETTINGS) & FORWARD_MARTIANS) === 0) return TO_DROPS + DROP_MARTIAN
  return isToMany ? local : PASSES
}

/** The note for a packet that is too long for its way; 0 where it, or what it will be cut into, is not. */
function excess(descriptor: u32, packet: u32, total: u32, way: u32): u32 {
  const most = wayMtu(way)
  if (total <= most) return 0
  const segment = segmentBytes(descriptor, packet)
  if (segment !== 0 && segment <= most) return 0
  return (<u32>load<u8>(packet, FRAGMENT) & DO_NOT_FRAGMENT) !== 0 ? NOTE_TOO_BIG : NOTE_FRAGMENT
}
