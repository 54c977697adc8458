import { DESCRIPTOR_ADDRESS } from '../memory/formats'
import { ENTRY_HOP_MASK, HOP_WAY, KIND_LOCAL, NOTE_IDENTIFICATION_BEFORE } from '../route/formats'
import { destinationLeaf4 } from '../route/forward-v4.inline.as'
import { destinationLeaf6 } from '../route/forward-v6.inline.as'
import { nextIdentification } from '../route/fragments.inline.as'
import { enter, leave } from '../route/readers.inline.as'
import { wayKind } from '../route/way.inline.as'
import { hopLine } from '../route/ways.inline.as'
import {
  COUNT_FRAGMENTS,
  DROP_FRAGMENT,
  DROP_LATE,
  DROP_NO_ROOM,
  DROP_OVERLAP,
  DROP_PART,
  DROP_SHORT,
  DROP_TWICE,
  FLOW_STATUS,
  FLOWS_FRAGMENTS,
  FLOWS_IDENTIFY,
  FLOWS_OWNER,
  FLOWS_OWNERS,
  FLOWS_PACKET,
  IN_PORT_BEFORE,
  IN_PORT_KNOWN,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_PROTOCOL,
  NO_FLOW,
  PACKET_DIRECTION,
  PACKET_FLOW,
  PACKET_OTHER_KEY,
  PACKET_SEGMENT_END,
  PART_PORTS_BEFORE,
  PART_PROTOCOL_BEFORE,
  PART_SEQUENCE_BEFORE,
  STATUS_REPLIED,
  TRACK_PORT,
  TRACK_READER,
  TRACK_ROUTES,
  TRACK_WORKERS,
  VERDICT_DROPPED,
  VERDICT_ESTABLISHED,
  VERDICT_INVALID,
  VERDICT_KEPT,
  VERDICT_NEW,
  VERDICT_UNTRACKED,
} from './formats'
import {
  DATAGRAM_BROKEN,
  DATAGRAM_IDENTIFICATION,
  DATAGRAM_KNOWN,
  DATAGRAM_PORTS,
  DATAGRAM_PROTOCOL,
  DATAGRAM_SEQUENCE,
  DATAGRAM_STATE,
  DATAGRAMS_BEGIN,
  DATAGRAMS_END,
  DATAGRAMS_MORE,
  DATAGRAMS_RELEASES,
} from './fragment-formats'
import { readFirst, readFragment, readLater } from './fragment-read.inline.as'
import {
  beginDatagram,
  breakDatagram,
  endDatagram,
  findDatagram,
  forgetLate,
  holdFragment,
  isComplete,
  makeReady,
  PLACED,
  PLACED_TWICE,
  placeBytes,
  takeHeld,
} from './fragment-table.inline.as'
import { judgeRead } from './judge.inline.as'
import { ownerOf } from './owner.inline.as'
import { invert, PROTOCOL_TCP } from './packet.inline.as'
import { hasRules, publish } from './publish.inline.as'
import { isUnheard } from './rules.inline.as'
import { countOne, find, flowAt, hasExpired } from './table.inline.as'
import { extendSegment, readSegment } from './tcp.inline.as'

/**
 * The verdict on a fragment, whose headers `readPacket` has read. The first one
 * of a datagram has the ports and is judged as the whole would be; the others
 * are what it was, and wait where they come before it. With several workers one
 * gathers all of a datagram, and hands them to whose the flow is.
 */
export function judgeFragment(stage: u32, flows: u32, descriptor: u32): u32 {
  countOne(flows, COUNT_FRAGMENTS)
  const table = load<u32>(flows, FLOWS_FRAGMENTS)
  if (table === 0) return hasRules(flows) ? VERDICT_DROPPED + DROP_FRAGMENT : VERDICT_UNTRACKED
  const fault = readFragment(flows, table)
  if (fault !== 0) return VERDICT_DROPPED + fault
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const begin = load<u32>(table, DATAGRAMS_BEGIN)
  const isKnown = load<u32>(table, DATAGRAMS_RELEASES) !== 0 || isHandedOver(flows, packet)
  // One that is no part of anything (RFC 6946) is nobody's either.
  if (begin === 0 && (isKnown || load<u32>(table, DATAGRAMS_MORE) === 0)) return judgeFirst(stage, flows, table, packet)
  return isKnown ? judgeLater(stage, flows, table, packet) : gather(stage, flows, table, descriptor)
}

/** Whether another worker has gathered it: with several, each fragment has a note of its port. */
function isHandedOver(flows: u32, packet: u32): bool {
  return load<u32>(flows, FLOWS_OWNERS) > 1 && (load<u32>(packet - IN_PORT_BEFORE) & IN_PORT_KNOWN) !== 0
}

function gather(stage: u32, flows: u32, table: u32, descriptor: u32): u32 {
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  forgetLate(stage, table, DROP_LATE)
  let datagram = findDatagram(flows, table)
  if (datagram === 0) datagram = beginDatagram(stage, flows, table, DROP_NO_ROOM)
  if (load<u32>(datagram, DATAGRAM_STATE) === DATAGRAM_BROKEN) return VERDICT_DROPPED + DROP_PART
  const begin = load<u32>(table, DATAGRAMS_BEGIN)
  const placed = placeBytes(datagram, begin, load<u32>(table, DATAGRAMS_END), load<u32>(table, DATAGRAMS_MORE))
  if (placed === PLACED_TWICE) return VERDICT_DROPPED + DROP_TWICE
  if (placed !== PLACED) {
    breakDatagram(stage, table, datagram, DROP_OVERLAP)
    return VERDICT_DROPPED + DROP_OVERLAP
  }
  let verdict: u32
  if (begin === 0) {
    verdict = judgeFirst(stage, flows, table, packet)
    if (verdict >= <u32>VERDICT_DROPPED || verdict === VERDICT_INVALID) {
      breakDatagram(stage, table, datagram, DROP_PART)
      return verdict
    }
    learn(flows, table, datagram)
    writeNotes(datagram, packet)
    release(table, datagram)
  } else if (load<u32>(datagram, DATAGRAM_STATE) === DATAGRAM_KNOWN) {
    writeNotes(datagram, packet)
    verdict = judgeLater(stage, flows, table, packet)
  } else {
    const isHeld = holdFragment(stage, table, datagram, descriptor, DROP_NO_ROOM)
    return isHeld ? VERDICT_KEPT : VERDICT_DROPPED + DROP_NO_ROOM
  }
  if (isComplete(datagram)) endDatagram(flows, table, datagram)
  return verdict
}

/** Keeps of a first fragment, of which the key stands in the table's packet, what the others go by. */
function learn(flows: u32, table: u32, datagram: u32): void {
  const context = flows + FLOWS_PACKET
  const protocol = <u32>load<u8>(context, KEY_PROTOCOL)
  store<u32>(datagram, DATAGRAM_KNOWN, DATAGRAM_STATE)
  store<u32>(datagram, load<u32>(context, KEY_PORTS), DATAGRAM_PORTS)
  store<u32>(datagram, protocol, DATAGRAM_PROTOCOL)
  store<u16>(datagram, <u16>nextIdentification(flows + FLOWS_IDENTIFY), DATAGRAM_IDENTIFICATION)
  if (protocol === PROTOCOL_TCP && readSegment(context)) {
    const sequence = load<u32>(context, PACKET_SEGMENT_END) - load<u32>(table, DATAGRAMS_END)
    store<u32>(datagram, sequence, DATAGRAM_SEQUENCE)
  }
}

/** What a fragment is known by behind the table of datagrams. */
function writeNotes(datagram: u32, packet: u32): void {
  store<u16>(packet - NOTE_IDENTIFICATION_BEFORE, load<u16>(datagram, DATAGRAM_IDENTIFICATION))
  store<u16>(packet - PART_PROTOCOL_BEFORE, load<u16>(datagram, DATAGRAM_PROTOCOL))
  store<u32>(packet - PART_PORTS_BEFORE, load<u32>(datagram, DATAGRAM_PORTS))
  store<u32>(packet - PART_SEQUENCE_BEFORE, load<u32>(datagram, DATAGRAM_SEQUENCE))
}

/** What has waited for the first fragment goes on, each from where it came to. */
function release(table: u32, datagram: u32): void {
  for (let place = takeHeld(table, datagram); place !== 0; place = takeHeld(table, datagram)) {
    writeNotes(datagram, load<u32>(place, DESCRIPTOR_ADDRESS))
    makeReady(place)
  }
}

function judgeFirst(stage: u32, flows: u32, table: u32, packet: u32): u32 {
  if (!readFirst(flows, table)) return VERDICT_DROPPED + DROP_SHORT
  const context = flows + FLOWS_PACKET
  const whose = ownerOfPart(flows, context)
  if (whose !== load<u32>(flows, FLOWS_OWNER)) return handOver(stage, flows, packet, whose)
  if (hasRules(flows) && isForRouter(stage, flows, context, packet)) return VERDICT_UNTRACKED
  return judgeRead(flows, context, true)
}

function judgeLater(stage: u32, flows: u32, table: u32, packet: u32): u32 {
  const protocol = <u32>load<u16>(packet - PART_PROTOCOL_BEFORE)
  readLater(flows, table, load<u32>(packet - PART_PORTS_BEFORE), protocol)
  const context = flows + FLOWS_PACKET
  const whose = ownerOfPart(flows, context)
  if (whose !== load<u32>(flows, FLOWS_OWNER)) return handOver(stage, flows, packet, whose)
  const reference = find(flows, context)
  const flow = reference === NO_FLOW ? 0 : flowAt(flows, reference)
  const direction = reference & 1
  if (flow === 0 || hasExpired(flows, flow) || (direction === 1 && isUnheard(flows, flow))) {
    const isPassed = hasRules(flows) && isLocal(stage, context, packet)
    return isPassed ? VERDICT_UNTRACKED : VERDICT_DROPPED + DROP_PART
  }
  if (protocol === PROTOCOL_TCP) {
    extendSegment(flow, direction, load<u32>(packet - PART_SEQUENCE_BEFORE) + load<u32>(table, DATAGRAMS_END))
  }
  store<u32>(context, flow, PACKET_FLOW)
  store<u32>(context, direction, PACKET_DIRECTION)
  return (<u32>load<u16>(flow, FLOW_STATUS) & STATUS_REPLIED) !== 0 ? VERDICT_ESTABLISHED : VERDICT_NEW
}

function ownerOfPart(flows: u32, context: u32): u32 {
  return load<u32>(flows, FLOWS_OWNERS) > 1 ? ownerOf(flows, context) : load<u32>(flows, FLOWS_OWNER)
}

/** The output to another worker. */
function handOver(stage: u32, flows: u32, packet: u32, whose: u32): u32 {
  store<u32>(packet - IN_PORT_BEFORE, load<u32>(stage, TRACK_PORT) | IN_PORT_KNOWN)
  return load<u32>(stage, TRACK_WORKERS) + (whose < load<u32>(flows, FLOWS_OWNER) ? whose : whose - 1)
}

/**
 * Whether a fragment is the router's own: for its address, and of no flow, nor
 * published. Its kernel puts it together, and says what it is.
 */
function isForRouter(stage: u32, flows: u32, context: u32, packet: u32): bool {
  const reference = find(flows, context)
  if (reference !== NO_FLOW && !hasExpired(flows, flowAt(flows, reference))) return false
  const answer = context + <u32>PACKET_OTHER_KEY
  invert(context, answer)
  return !publish(flows, context, answer) && isLocal(stage, context, packet)
}

function isLocal(stage: u32, context: u32, packet: u32): bool {
  const routes = load<u32>(stage, TRACK_ROUTES)
  if (routes === 0) return false
  const reader = load<u32>(stage, TRACK_READER)
  enter(routes, reader)
  const leaf = load<u8>(context, KEY_FAMILY) === 4 ? destinationLeaf4(routes, packet) : destinationLeaf6(routes, packet)
  const way = load<u32>(hopLine(routes, leaf & ENTRY_HOP_MASK), HOP_WAY)
  leave(reader)
  return wayKind(way) === KIND_LOCAL
}
