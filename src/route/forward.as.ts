import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
} from '../memory/formats'
import { release } from '../memory/pool.inline.as'
import {
  DROP_MALFORMED,
  DROP_OTHER_HOST,
  ENTRY_HOP_MASK,
  FIB_ROOT,
  FIB_ROOT_SHIFT,
  FORWARD_CHECKSUM,
  HOP_ADDRESSES,
  HOP_SHIFT,
  HOP_WAY,
  KIND_FORWARD,
  STAGE_DROPS,
  STAGE_ENDS,
  STAGE_LEAVES,
  STAGE_OUTPUTS,
  STAGE_PORT_LINE,
  STAGE_PORTS,
  STAGE_READER,
  STAGE_SETTINGS,
  STAGE_SPECIAL,
  STAGE_TABLES,
  TABLES_HOPS,
  TABLES_V4,
  TO_DROPS,
  TO_LOCAL,
  TO_OUTPUTS,
  WAY_KIND_MASK,
  WAY_MTU_SHIFT,
  WAY_PORT_SHIFT,
} from './formats'
import {
  check4,
  DESTINATION,
  LIVE,
  PLAIN_IPV4,
  PLAIN_MASK,
  shorten,
  sumOf,
  totalOf,
  VERSION,
  way4,
} from './forward-v4.inline.as'
import { check6, destinationLeaf6, usualWay6, way6 } from './forward-v6.inline.as'
import { isNode, leafOf4 } from './lookup.inline.as'
import { enter, leave } from './readers.inline.as'
import { MAC_SHIFT, ownAddress, PASSES } from './ways.inline.as'

/** EtherType, and two bytes more. */
const TYPES: usize = 12
/** The first bit on the wire: for a group of stations, or for all. */
const GROUP_BIT: u64 = 1
/** EtherTypes as they are loaded. */
const ETHERTYPE_IPV4: u32 = 0x0008
const ETHERTYPE_IPV6: u32 = 0xdd86
const ETHERNET_BYTES: u32 = 14
const SHORTEST_TOTAL: u32 = 20
/** One is taken off, and one must be left. */
const LEAST_LIVES: u32 = 2
/** No IP header behind the Ethernet header is shorter. */
const SHORTEST: u32 = 34

/**
 * Routes a bundle: each packet goes to one of the outputs, rewritten where that
 * is a port's, or is dropped with a reason. IPv4 that is as usual is done here,
 * with no call, IPv6 with one; `wayOf` decides about everything else, and would
 * decide the same.
 *
 * The look-ups come first, in a loop so short that the processor is at many of
 * them at once. Then all that could speak against a packet is gathered in one
 * word, for one branch that hardly ever goes the other way.
 */
export function forward(stage: u32, pool: u32, bundle: u32): void {
  const tables = load<u32>(stage, STAGE_TABLES)
  const reader = load<u32>(stage, STAGE_READER)
  const ends = load<u32>(stage, STAGE_ENDS)
  const lastPort = load<u32>(stage, STAGE_PORTS) - 1
  const first = bundle + BUNDLE_DESCRIPTORS
  const last = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  const own = ownAddress(stage)
  const hops = load<u32>(tables, TABLES_HOPS)
  const special = load<u32>(stage, STAGE_SPECIAL)
  const sumMask = (load<u32>(stage, STAGE_SETTINGS) & FORWARD_CHECKSUM) !== 0 ? 0xffff : 0
  openEnds(stage, bundle)
  enter(tables, reader)
  let leaf = load<u32>(stage, STAGE_LEAVES)
  lookUp(tables, first, last, leaf)
  for (let at = first; at < last; at += DESCRIPTOR_BYTES, leaf += 4) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const line = hops + ((load<u32>(leaf) & ENTRY_HOP_MASK) << HOP_SHIFT)
    const way = load<u32>(line, HOP_WAY)
    const one = load<u64>(packet, VERSION)
    const two = load<u64>(packet, LIVE)
    const destination = load<u32>(packet, DESTINATION)
    const port = (way >> WAY_PORT_SHIFT) & 0xff
    const total = totalOf(one)
    const differs = (load<u64>(packet) << MAC_SHIFT) ^ own
    // 0 where it is right.
    const wrong =
      ((load<u32>(packet, TYPES) & PLAIN_MASK) ^ PLAIN_IPV4) |
      ((sumOf(one, two, destination) ^ 0xffff) & sumMask) |
      load<u8>(special + (<u32>(two >> 32) & 0xff)) |
      load<u8>(special + (destination & 0xff)) |
      ((way & WAY_KIND_MASK) ^ KIND_FORWARD)
    // Their highest bit is set where something is too small.
    const lacks =
      (total - SHORTEST_TOTAL) |
      (load<u32>(at, DESCRIPTOR_CAPTURED) - ETHERNET_BYTES - total) |
      ((way >> WAY_MTU_SHIFT) - total) |
      ((<u32>two & 0xff) - LEAST_LIVES) |
      (lastPort - port)
    if ((differs | wrong | (lacks >> 31)) === 0) {
      store<u64>(packet, load<u64>(line, HOP_ADDRESSES))
      store<u32>(packet, load<u32>(line, HOP_ADDRESSES + 8), 8)
      store<u32>(packet, shorten(<u32>two), LIVE)
      append(ends, port, at)
    } else forwardOther(stage, pool, tables, at, packet, load<u32>(leaf))
  }
  leave(reader)
  closeEnds(stage, bundle)
}

/** The leaf of each packet as if it were IP without VLAN tags; what is something else has one that nobody asks for. */
function lookUp(tables: u32, first: u32, last: u32, leaves: u32): void {
  const root = load<u32>(tables + TABLES_V4, FIB_ROOT)
  const left = load<u32>(tables + TABLES_V4, FIB_ROOT_SHIFT)
  for (let at = first, leaf = leaves; at < last; at += DESCRIPTOR_BYTES, leaf += 4) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    if (<u32>load<u16>(packet, TYPES) === ETHERTYPE_IPV6) {
      store<u32>(leaf, destinationLeaf6(tables, packet))
      continue
    }
    const address = bswap<u32>(load<u32>(packet, DESTINATION))
    const entry = load<u32>(root + ((address >> left) << 2))
    store<u32>(leaf, isNode(entry) ? leafOf4(entry, left, address) : entry)
  }
}

/**
 * What is not IPv4 as usual: IPv6 as usual, and everything else. It is exported
 * so that it stays a function of its own: within the loop above it would take
 * the registers that the loop has its words in.
 */
export function forwardOther(stage: u32, pool: u32, tables: u32, descriptor: u32, packet: u32, leaf: u32): void {
  let to = usualWay6(stage, tables, descriptor, packet, leaf)
  if (to === PASSES) to = wayOf(stage, tables, descriptor, packet)
  if (to < <u32>TO_DROPS) append(load<u32>(stage, STAGE_ENDS), to, descriptor)
  else drop(stage, pool, packet, to - TO_DROPS)
}

function append(ends: u32, to: u32, descriptor: u32): void {
  const end = ends + (to << 2)
  const place = load<u32>(end)
  v128.store(place, v128.load(descriptor))
  store<u32>(end, place + DESCRIPTOR_BYTES)
}

/** Where a packet goes: the number of an output, or from TO_DROPS on the reason why it goes nowhere. */
function wayOf(stage: u32, tables: u32, descriptor: u32, packet: u32): u32 {
  const captured = load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  const destination = load<u64>(packet)
  const types = load<u32>(packet, TYPES)
  const isOwn = (destination ^ load<u64>(load<u32>(stage, STAGE_PORT_LINE))) << MAC_SHIFT === 0
  if (captured < SHORTEST) return short(stage, captured, types)
  if (!isOwn && (destination & GROUP_BIT) === 0) return TO_DROPS + DROP_OTHER_HOST
  if ((types & PLAIN_MASK) === PLAIN_IPV4 || (types & 0xffff) === ETHERTYPE_IPV4) {
    const fault = check4(stage, packet, captured, types)
    return fault !== 0 ? fault : way4(stage, tables, descriptor, packet, isOwn)
  }
  if ((types & 0xffff) === ETHERTYPE_IPV6) {
    const fault = check6(packet, captured)
    return fault !== 0 ? fault : way6(stage, tables, descriptor, packet, isOwn)
  }
  return load<u32>(stage, STAGE_PORTS) + TO_LOCAL
}

/** Too short for IP, which is a fault only where it says that it is IP. */
function short(stage: u32, captured: u32, types: u32): u32 {
  const type = types & 0xffff
  if (captured < ETHERNET_BYTES || type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) return TO_DROPS + DROP_MALFORMED
  return load<u32>(stage, STAGE_PORTS) + TO_LOCAL
}

function drop(stage: u32, pool: u32, packet: u32, reason: u32): void {
  release(pool, packet)
  const counter = load<u32>(stage, STAGE_DROPS) + (reason << 3)
  store<f64>(counter, load<f64>(counter) + 1)
}

/** Notes where each output's bundle goes on; the first one is this bundle, which is written again from its begin. */
function openEnds(stage: u32, bundle: u32): void {
  const outputs = load<u32>(stage, STAGE_OUTPUTS)
  const ends = load<u32>(stage, STAGE_ENDS)
  store<u32>(ends, bundle + BUNDLE_DESCRIPTORS)
  for (let at: u32 = 4, end = (load<u32>(stage, STAGE_PORTS) + TO_OUTPUTS) << 2; at < end; at += 4) {
    const other = load<u32>(outputs + at)
    store<u32>(ends + at, other + BUNDLE_DESCRIPTORS + load<u32>(other, BUNDLE_COUNT) * DESCRIPTOR_BYTES)
  }
}

function closeEnds(stage: u32, bundle: u32): void {
  const outputs = load<u32>(stage, STAGE_OUTPUTS)
  const ends = load<u32>(stage, STAGE_ENDS)
  for (let at: u32 = 0, end = (load<u32>(stage, STAGE_PORTS) + TO_OUTPUTS) << 2; at < end; at += 4) {
    const other = at === 0 ? bundle : load<u32>(outputs + at)
    store<u32>(other, (load<u32>(ends + at) - other - BUNDLE_DESCRIPTORS) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
  }
}
