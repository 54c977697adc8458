import { addBytes, foldSum } from '../wire/checksum.inline.as'
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
  STAGE_PORTS,
  STAGE_SETTINGS,
  TABLES_V4,
  TO_DROPS,
  TO_LOCAL,
  WAY_MTU_SHIFT,
} from './formats'
import { leafOf4, rootEntry } from './lookup.inline.as'
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

/** EtherType, version and header length as they are loaded: IPv4 without options. */
export const PLAIN_MASK: u32 = 0xffffff
export const PLAIN_IPV4: u32 = 0x450008
const ETHERNET_BYTES: u32 = 14
const HEADER_BYTES: u32 = 20
/** Offsets from the packet's first byte (RFC 791, 3.1). */
export const VERSION: usize = 14
const TOTAL: usize = 16
const FRAGMENT: usize = 20
/** Time to live, protocol and checksum, as one word. */
export const LIVE: usize = 22
const SOURCE: usize = 26
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

/** Total length, of the header's first eight bytes. */
export function totalOf(one: u64): u32 {
  const loaded = <u32>(one >> 16)
  return ((loaded & 0xff) << 8) | ((loaded >> 8) & 0xff)
}

/** The folded sum of a header of 20 bytes: -0 where it is right. The upper half of the last sum has both halves and the carry. */
export function sumOf(one: u64, two: u64, destination: u32): u32 {
  let sum = (one & 0xffffffff) + (one >> 32) + (two & 0xffffffff) + (two >> 32) + <u64>destination
  sum = (sum & 0xffffffff) + (sum >> 32)
  const folded = <u32>sum + <u32>(sum >> 32)
  return (folded + rotl<u32>(folded, 16)) >> 16
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
  return rewriteEthernet(stage, tables, packet, hop, way)
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
 * by 1; 0xffff, which no header sums up to, becomes 0.
 */
export function shorten(live: u32): u32 {
  const sum = (live >> 16) + 1
  return ((live & 0xffff) - 1) | ((sum + <u32>(sum >= 0xffff)) << 16)
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
  const most = way >> WAY_MTU_SHIFT
  if (total <= most) return 0
  const segment = segmentBytes(descriptor, packet)
  if (segment !== 0 && segment <= most) return 0
  return (<u32>load<u8>(packet, FRAGMENT) & DO_NOT_FRAGMENT) !== 0 ? NOTE_TOO_BIG : NOTE_FRAGMENT
}
