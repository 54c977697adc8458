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
  STAGE_DROPS,
  STAGE_ENDS,
  STAGE_OUTPUTS,
  STAGE_PORT_LINE,
  STAGE_PORTS,
  STAGE_READER,
  STAGE_TABLES,
  TO_DROPS,
  TO_LOCAL,
  TO_OUTPUTS,
} from './formats'
import { check4, PLAIN_IPV4, PLAIN_MASK, way4 } from './forward-v4.inline.as'
import { check6, way6 } from './forward-v6.inline.as'
import { enter, leave } from './readers.inline.as'

const MAC_MASK: u64 = 0xffffffffffff
/** The first bit on the wire: for a group of stations, or for all. */
const GROUP_BIT: u64 = 1
/** EtherTypes as they are loaded. */
const ETHERTYPE_IPV4: u32 = 0x0008
const ETHERTYPE_IPV6: u32 = 0xdd86
const ETHERNET_BYTES: u32 = 14
/** No IP header behind the Ethernet header is shorter. */
const SHORTEST: u32 = 34

/** Routes a bundle: each packet goes to one of the outputs, rewritten where that is a port's, or is dropped with a reason. */
export function forward(stage: u32, pool: u32, bundle: u32): void {
  const tables = load<u32>(stage, STAGE_TABLES)
  const reader = load<u32>(stage, STAGE_READER)
  const ends = load<u32>(stage, STAGE_ENDS)
  const first = bundle + BUNDLE_DESCRIPTORS
  const last = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  const own = load<u64>(load<u32>(stage, STAGE_PORT_LINE)) & MAC_MASK
  openEnds(stage, bundle)
  enter(tables, reader)
  for (let at = first; at < last; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const to = wayOf(stage, tables, at, packet, own)
    if (to < <u32>TO_DROPS) {
      const end = ends + (to << 2)
      const place = load<u32>(end)
      v128.store(place, v128.load(at))
      store<u32>(end, place + DESCRIPTOR_BYTES)
    } else drop(stage, pool, packet, to - TO_DROPS)
  }
  leave(reader)
  closeEnds(stage, bundle)
}

/** Where a packet goes: the number of an output, or from TO_DROPS on the reason why it goes nowhere. */
function wayOf(stage: u32, tables: u32, descriptor: u32, packet: u32, own: u64): u32 {
  const captured = load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  const destination = load<u64>(packet) & MAC_MASK
  const types = load<u32>(packet, 12)
  const isOwn = destination === own
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
