import { FLAGS_SEGMENT_SHIFT } from '../memory/formats'
import { shorten } from '../route/forward-v4.inline.as'
import {
  FLOW_LONGEST,
  FLOW_PORTS,
  FLOW_REWRITES,
  FLOW_ROUTE_GENERATION,
  FLOW_STATUS,
  FLOWS_SEEN,
  IN_PORT_SHIFT,
  MARK_BEFORE,
  MARK_NUMBER,
  MARK_RELATED,
  MARK_USES,
  MARK_USES_SHIFT,
  STATUS_IN_USE,
  STATUS_ROUTED,
  STATUS_USES_SHIFT,
  TRACK_PORT,
  TRACK_PORT_LINE,
  VERDICT_CACHED,
} from './formats'
import { STATUS_TRANSLATED, translateBoth } from './rewrite.inline.as'
import { flowAt } from './table.inline.as'

export const NOT_REMEMBERED: u32 = 0xffffffff
const MAC_MASK: u64 = 0xffffffffffff
const REWRITE_BYTES: u32 = 12
const ETHERNET_BYTES: u32 = 14
const IPV6_BYTES: u32 = 40
const PLAIN_IPV4: u8 = 0x45

/** Bytes of the IP packet at `network`. */
function lengthOf(network: u32): u32 {
  return load<u8>(network) >> 4 === 4
    ? bswap<u16>(load<u16>(network, 2))
    : <u32>bswap<u16>(load<u16>(network, 4)) + IPV6_BYTES
}

/**
 * Rewrites a packet by the decision that is remembered for its flow and
 * direction, if that is still right for it: no route has changed since, it came
 * by the same port for the same station, it is no longer than one for which the
 * decision was taken, and it may live one hop more. Gives the output, or
 * NOT_REMEMBERED. Merged packets and such with IP options are for `forward`.
 */
export function useDecision(stage: u32, flows: u32, packet: u32, flags: u32, flow: u32, direction: u32): u32 {
  const ports = <u32>load<u8>(flow + direction, FLOW_PORTS)
  const status = <u32>load<u16>(flow, FLOW_STATUS)
  if (
    (status & (STATUS_ROUTED << direction)) === 0 ||
    load<u32>(flow, FLOW_ROUTE_GENERATION) !== load<u32>(flows, FLOWS_SEEN) ||
    ports >> IN_PORT_SHIFT !== load<u32>(stage, TRACK_PORT) ||
    ((load<u64>(packet) ^ load<u64>(load<u32>(stage, TRACK_PORT_LINE))) & MAC_MASK) !== 0 ||
    flags >> FLAGS_SEGMENT_SHIFT !== 0
  ) {
    return NOT_REMEMBERED
  }
  const network = packet + ETHERNET_BYTES
  const longest = <u32>load<u16>(flow + (direction << 1), FLOW_LONGEST)
  if (load<u8>(network) === PLAIN_IPV4) {
    const live = load<u32>(network, 8)
    if ((live & 0xff) < 2 || <u32>bswap<u16>(load<u16>(network, 2)) > longest) return NOT_REMEMBERED
    store<u32>(network, shorten(live), 8)
  } else {
    const hops = load<u8>(network, 7)
    if (load<u8>(network) >> 4 !== 6 || hops < 2 || lengthOf(network) > longest) return NOT_REMEMBERED
    store<u8>(network, hops - 1, 7)
  }
  if ((status & STATUS_TRANSLATED) !== 0) translateBoth(flow, direction, network, flags)
  const rewrite = flow + FLOW_REWRITES + direction * REWRITE_BYTES
  store<u64>(packet, load<u64>(rewrite))
  store<u32>(packet, load<u32>(rewrite, 8), 8)
  return VERDICT_CACHED + (ports & 15)
}

/** The flow that a packet is marked with, if it is still that one; else 0. */
export function markedFlow(flows: u32, packet: u32): u32 {
  const mark = load<u32>(packet - MARK_BEFORE)
  if ((mark & MARK_NUMBER) === 0) return 0
  const flow = flowAt(flows, ((mark & MARK_NUMBER) - 1) << 1)
  const status = <u32>load<u16>(flow, FLOW_STATUS)
  const uses = ((status >> STATUS_USES_SHIFT) << MARK_USES_SHIFT) & MARK_USES
  return (status & STATUS_IN_USE) !== 0 && uses === (mark & MARK_USES) ? flow : 0
}

/** Remembers with the flow of a packet, which is rewritten already, how it leaves by a port. */
export function keepDecision(flows: u32, packet: u32, flags: u32, ports: u32): void {
  const flow = markedFlow(flows, packet)
  const mark = load<u32>(packet - MARK_BEFORE)
  if (flow === 0 || (mark & MARK_RELATED) !== 0 || flags >> FLAGS_SEGMENT_SHIFT !== 0) return
  const direction = mark >> 31
  const longest = flow + FLOW_LONGEST + (direction << 1)
  let status = <u32>load<u16>(flow, FLOW_STATUS)
  const seen = load<u32>(flows, FLOWS_SEEN)
  if (load<u32>(flow, FLOW_ROUTE_GENERATION) !== seen) {
    status &= ~(STATUS_ROUTED | (STATUS_ROUTED << 1))
    store<u32>(flow, seen, FLOW_ROUTE_GENERATION)
  }
  const isKnown = (status & (STATUS_ROUTED << direction)) !== 0 && load<u8>(flow + direction, FLOW_PORTS) === ports
  const length = lengthOf(packet + ETHERNET_BYTES)
  store<u16>(longest, <u16>(isKnown ? max<u32>(length, load<u16>(longest)) : length))
  const rewrite = flow + FLOW_REWRITES + direction * REWRITE_BYTES
  store<u64>(rewrite, load<u64>(packet))
  store<u32>(rewrite, load<u32>(packet, 8), 8)
  store<u8>(flow + direction, <u8>ports, FLOW_PORTS)
  store<u16>(flow, <u16>(status | (STATUS_ROUTED << direction)), FLOW_STATUS)
}
