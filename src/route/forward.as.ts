import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
} from '../memory/formats'
import { release } from '../memory/pool.inline.as'
import { append, closeEnds, openEnds } from './ends.inline.as'
import { ETHERNET_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, TYPES } from './ethernet.inline.as'
import {
  DROP_MALFORMED,
  DROP_OTHER_HOST,
  PLAIN_IPV4,
  STAGE_DROPS,
  STAGE_ENDS,
  STAGE_LEAVES,
  STAGE_PORT_LINE,
  STAGE_PORTS,
  STAGE_READER,
  STAGE_TABLES,
  TO_DROPS,
  TO_LOCAL,
} from './formats'
import { forwardUsual } from './forward-usual.inline.as'
import { check4, PLAIN_MASK, way4 } from './forward-v4.inline.as'
import { check6, usualWay6, way6 } from './forward-v6.inline.as'
import { lookUp } from './leaves.inline.as'
import { enter, leave } from './readers.inline.as'
import { MAC_SHIFT, PASSES } from './ways.inline.as'

/** The first bit on the wire: for a group of stations, or for all. */
const GROUP_BIT: u64 = 1
/** No IP header behind the Ethernet header is shorter. */
const SHORTEST: u32 = 34

/**
 * Routes a bundle: each packet goes to one of the outputs, rewritten where that
 * is a port's, or is dropped with a reason. IPv4 that is as usual is forwarded
 * in runs; what interrupts one is looked at by itself, IPv6 that is as usual
 * first. `wayOf` decides about everything else, and would decide the same.
 *
 * The look-ups come first, in a loop so short that the processor is at many of
 * them at once.
 */
export function forward(stage: u32, pool: u32, bundle: u32): void {
  const tables = load<u32>(stage, STAGE_TABLES)
  const reader = load<u32>(stage, STAGE_READER)
  const leaves = load<u32>(stage, STAGE_LEAVES)
  const first = bundle + BUNDLE_DESCRIPTORS
  const last = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  openEnds(stage, bundle)
  enter(tables, reader)
  lookUp(stage, tables, first, last, leaves)
  for (let at = first; at < last; at += DESCRIPTOR_BYTES) {
    at = forwardUsual(stage, tables, at, last, leaves + ((at - first) >> 2))
    if (at < last) forwardOther(stage, pool, tables, at, load<u32>(leaves + ((at - first) >> 2)))
  }
  leave(reader)
  closeEnds(stage, bundle)
}

/**
 * What is not IPv4 as usual: IPv6 as usual, and everything else. It is exported
 * so that it stays a function of its own: within `forward` it would take the
 * registers that the loop has its words in.
 */
export function forwardOther(stage: u32, pool: u32, tables: u32, descriptor: u32, leaf: u32): void {
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  let to = usualWay6(stage, tables, descriptor, packet, leaf)
  if (to === PASSES) to = wayOf(stage, tables, descriptor, packet)
  if (to < <u32>TO_DROPS) append(load<u32>(stage, STAGE_ENDS), to, descriptor)
  else drop(stage, pool, packet, to - TO_DROPS)
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
