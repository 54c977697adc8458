import { DESCRIPTOR_CAPTURED } from '../memory/formats'
import { isLinkLocal, isReserved } from './address-v6.inline.as'
import { ETHERNET_BYTES, TYPES } from './ethernet.inline.as'
import {
  DROP_MALFORMED,
  DROP_MARTIAN,
  ENTRY_HOP_MASK,
  FIB_ROOT_SHIFT,
  FORWARD_MARTIANS,
  HOP_WAY,
  KIND_FORWARD,
  NOTE_BEYOND_SCOPE,
  NOTE_TOO_BIG,
  STAGE_PORTS,
  STAGE_SETTINGS,
  TABLES_V6,
  TO_DROPS,
  TO_LOCAL,
} from './formats'
import { leafOf6, rootEntry } from './lookup.inline.as'
import { wayKind, wayMtu } from './way.inline.as'
import {
  checkSource,
  checksSource,
  hopLine,
  hopOf,
  isUsual,
  judge,
  MAC_SHIFT,
  ownAddress,
  PASSES,
  rewriteEthernet,
  segmentBytes,
} from './ways.inline.as'

const HEADER_BYTES: u32 = 40
/** One is taken off, and one must be left. */
const LEAST_LIVES: u32 = 2
/** EtherType and version, as they are loaded. */
const PLAIN_MASK: u32 = 0xf0ffff
const PLAIN_IPV6: u32 = 0x60dd86
/** Offsets from the packet's first byte (RFC 8200, 3). */
const VERSION: usize = 14
const PAYLOAD: usize = 18
const HOP_LIMIT: usize = 21
const SOURCE: u32 = 22
const DESTINATION: u32 = 38
/** First byte of multicast. */
const MULTICAST: u32 = 0xff

/** The reason to drop a packet of `captured` bytes for its header; else 0. */
export function check6(packet: u32, captured: u32): u32 {
  const isWhole = captured >= ETHERNET_BYTES + HEADER_BYTES && totalOf(packet) + ETHERNET_BYTES <= captured
  return isWhole && load<u8>(packet, VERSION) >> 4 === 6 ? 0 : TO_DROPS + DROP_MALFORMED
}

/** The leaf of the destination, whatever the packet is. */
export function destinationLeaf6(tables: u32, packet: u32): u32 {
  return leaf6(tables + TABLES_V6, packet + DESTINATION)
}

/** The output of an IPv6 packet that is as usual, which is rewritten; PASSES where somebody has to look closer. */
export function usualWay6(stage: u32, tables: u32, descriptor: u32, packet: u32, leaf: u32): u32 {
  const hop = leaf & ENTRY_HOP_MASK
  const way = load<u32>(hopLine(tables, hop), HOP_WAY)
  const total = totalOf(packet)
  const lives: u32 = load<u8>(packet, HOP_LIMIT)
  const differs = (load<u64>(packet) << MAC_SHIFT) ^ ownAddress(stage)
  const wrong = ((load<u32>(packet, TYPES) & PLAIN_MASK) ^ PLAIN_IPV6) | (wayKind(way) ^ KIND_FORWARD)
  // Their highest bit is set where something is too small.
  const lacks =
    (load<u32>(descriptor, DESCRIPTOR_CAPTURED) - ETHERNET_BYTES - total) |
    (wayMtu(way) - total) |
    (lives - LEAST_LIVES)
  if ((differs | wrong | (lacks >> 31)) !== 0) return PASSES
  if (isSpecial(packet + SOURCE) || isSpecial(packet + DESTINATION)) return PASSES
  store<u8>(packet, <u8>(lives - 1), HOP_LIMIT)
  return rewriteEthernet(tables, packet, hop, way)
}

/** Where an IPv6 packet with a right header goes, as `wayOf` says. */
export function way6(stage: u32, tables: u32, descriptor: u32, packet: u32, isOwn: bool): u32 {
  const fib = tables + TABLES_V6
  const source = packet + SOURCE
  const destination = packet + DESTINATION
  if (isSpecial(source) || isSpecial(destination)) {
    const to = special(stage, source, destination)
    if (to !== PASSES) return to
  }
  const isBound = isLinkLocal(source)
  if (checksSource(stage) && !isBound) {
    const to = checkSource(stage, tables, leaf6(fib, source))
    if (to !== PASSES) return to
  }
  const hop = hopOf(tables, leaf6(fib, destination), descriptor, packet)
  const way = load<u32>(hopLine(tables, hop), HOP_WAY)
  const total = totalOf(packet)
  const lives: u32 = load<u8>(packet, HOP_LIMIT)
  if (isBound || !isUsual(stage, way, total, lives, isOwn)) {
    const fault = isBound ? NOTE_BEYOND_SCOPE : excess(descriptor, packet, total, way)
    const to = judge(stage, packet, hop, way, lives, fault, isOwn)
    if (to !== PASSES) return to
  }
  store<u8>(packet, <u8>(lives - 1), HOP_LIMIT)
  return rewriteEthernet(tables, packet, hop, way)
}

function totalOf(packet: u32): u32 {
  return <u32>bswap<u16>(load<u16>(packet, PAYLOAD)) + HEADER_BYTES
}

function leaf6(fib: u32, at: u32): u32 {
  return leafOf6(load<u32>(rootEntry(fib, bswap<u32>(load<u32>(at)))), load<u32>(fib, FIB_ROOT_SHIFT), at)
}

/** By its first byte: none, loopback and mapped ones; those for one link; multicast. */
function isSpecial(at: u32): bool {
  const byte: u32 = load<u8>(at)
  return byte === 0 || byte >= 0xfe
}

/**
 * Addresses that are not for routes (RFC 4291, 2.5 to 2.7): where a packet with
 * one goes, or PASSES. One to an address that is for one link goes no further
 * than here; from such a one it may reach the router's other addresses.
 */
function special(stage: u32, source: u32, destination: u32): u32 {
  const local = load<u32>(stage, STAGE_PORTS) + TO_LOCAL
  const isToMany = load<u8>(destination) === MULTICAST
  // Who has no address yet asks whether it may have one (RFC 4862, 5.4.2).
  if (isUnspecified(source) && isToMany) return local
  const isMartian = load<u8>(source) === MULTICAST || isReserved(source) || isReserved(destination)
  if (isMartian && (load<u32>(stage, STAGE_SETTINGS) & FORWARD_MARTIANS) === 0) return TO_DROPS + DROP_MARTIAN
  return isToMany || isLinkLocal(destination) ? local : PASSES
}

function isUnspecified(at: u32): bool {
  return load<u64>(at) === 0 && load<u64>(at, 8) === 0
}

/** The note for a packet that is too long for its way; 0 where it, or what it will be cut into, is not. */
function excess(descriptor: u32, packet: u32, total: u32, way: u32): u32 {
  const most = wayMtu(way)
  if (total <= most) return 0
  const segment = segmentBytes(descriptor, packet)
  return segment !== 0 && segment <= most ? 0 : NOTE_TOO_BIG
}
