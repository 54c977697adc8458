import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  MOST_IN_BUNDLE,
} from '../memory/formats'
import { TABLES_GENERATION } from '../route/formats'
import {
  FLOW_STATUS,
  FLOWS_FRAGMENTS,
  FLOWS_PACKET,
  FLOWS_SEEN,
  MARK_BEFORE,
  MARK_RELATED,
  MARK_REPLY,
  MARK_USES,
  MARK_USES_SHIFT,
  PACKET_DIRECTION,
  PACKET_FLOW,
  STATUS_USES_SHIFT,
  TRACK_CACHES,
  TRACK_FLOWS,
  TRACK_MARKS,
  TRACK_OUTPUTS,
  TRACK_ROUTES,
  TRACK_SETTINGS,
  VERDICT_DROPPED,
  VERDICT_KEPT,
  VERDICT_RELATED,
} from './formats'
import { DATAGRAMS_RELEASES, DATAGRAMS_WAITING } from './fragment-formats'
import { breakDatagram, dropPacket, forgetLate, freePlace, takeReady } from './fragment-table.inline.as'
import { judgeFragment } from './gather.inline.as'
import { judgePacket } from './judge.inline.as'
import { READ_FRAGMENT } from './packet.inline.as'
import { NOT_REMEMBERED, useDecision } from './remembered.inline.as'
import { SIDE_DESTINATION, STATUS_TRANSLATED, translateError, translateSide } from './rewrite.inline.as'
import { numberOf, sweep } from './table.inline.as'
import { judgeUsual, NOT_USUAL } from './usual.inline.as'

const ETHERNET_BYTES: u32 = 14

/**
 * Judges the packets of a bundle: each goes to the bundle of its verdict, the
 * first of which is this one; what there is no room for is dropped.
 */
export function track(stage: u32, bundle: u32): void {
  const flows = load<u32>(stage, TRACK_FLOWS)
  const outputs = load<u32>(stage, TRACK_OUTPUTS)
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let stays = first
  // Packets in a row mostly share a verdict: where its bundle ends is kept until another one comes.
  let last: u32 = 0
  let output: u32 = 0
  let append: u32 = 0
  // Before anything is looked up: a decision is as old as this at most.
  if ((load<u32>(stage, TRACK_SETTINGS) & TRACK_CACHES) !== 0) {
    store<u32>(flows, atomic.load<u32>(load<u32>(stage, TRACK_ROUTES), TABLES_GENERATION), FLOWS_SEEN)
  }
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const verdict = trackOne(stage, flows, at)
    if (verdict === 0) {
      v128.store(stays, v128.load(at))
      stays += DESCRIPTOR_BYTES
    } else if (verdict < <u32>VERDICT_DROPPED) {
      if (verdict !== last) {
        endAppending(output, append)
        last = verdict
        output = load<u32>(outputs + (verdict << 2))
        append = output + BUNDLE_DESCRIPTORS + load<u32>(output, BUNDLE_COUNT) * DESCRIPTOR_BYTES
      }
      v128.store(append, v128.load(at))
      append += DESCRIPTOR_BYTES
    } else drop(stage, at, verdict)
  }
  endAppending(output, append)
  store<u32>(bundle, (stays - first) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}

function endAppending(output: u32, append: u32): void {
  if (output !== 0) store<u32>(output, (append - output - BUNDLE_DESCRIPTORS) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}

function drop(stage: u32, descriptor: u32, verdict: u32): void {
  if (verdict !== VERDICT_KEPT) dropPacket(stage, load<u32>(descriptor, DESCRIPTOR_ADDRESS), verdict - VERDICT_DROPPED)
}

/**
 * Judges fragments that have waited and need not any more, as many as fit into
 * a bundle, which is empty; and forgets those whose time is over.
 */
export function trackWaiting(stage: u32, bundle: u32, late: u32): void {
  const table = load<u32>(load<u32>(stage, TRACK_FLOWS), FLOWS_FRAGMENTS)
  forgetLate(stage, table, late)
  let count: u32 = 0
  for (let place = takeReady(stage); place !== 0; place = takeReady(stage)) {
    v128.store(bundle + BUNDLE_DESCRIPTORS + count * DESCRIPTOR_BYTES, v128.load(place))
    freePlace(table, place)
    count++
    if (count === MOST_IN_BUNDLE) break
  }
  if (count === 0) return
  store<u32>(bundle, count, BUNDLE_COUNT)
  store<u32>(table, 1, DATAGRAMS_RELEASES)
  track(stage, bundle)
  store<u32>(table, 0, DATAGRAMS_RELEASES)
}

/** Gives back what waits: what this stage has, and with it what others wait for. */
export function trackClose(stage: u32, late: u32): void {
  const table = load<u32>(load<u32>(stage, TRACK_FLOWS), FLOWS_FRAGMENTS)
  for (let place = takeReady(stage); place !== 0; place = takeReady(stage)) {
    dropPacket(stage, load<u32>(place, DESCRIPTOR_ADDRESS), late)
    freePlace(table, place)
  }
  for (let oldest = load<u32>(table, DATAGRAMS_WAITING); oldest !== 0; oldest = load<u32>(table, DATAGRAMS_WAITING)) {
    breakDatagram(stage, table, oldest, late)
  }
}

/** The verdict on a packet; one that a remembered decision has been taken for is rewritten by it. */
function trackOne(stage: u32, flows: u32, descriptor: u32): u32 {
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const flags = load<u32>(descriptor, DESCRIPTOR_FLAGS)
  const settings = load<u32>(stage, TRACK_SETTINGS)
  const captured = load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  let verdict = judgeUsual(flows, packet, captured)
  if (verdict === NOT_USUAL) verdict = judgeOther(stage, flows, descriptor)
  if (verdict > <u32>VERDICT_RELATED) {
    if ((settings & TRACK_MARKS) !== 0) store<u32>(packet - MARK_BEFORE, 0)
    return verdict
  }
  const flow = load<u32>(flows + FLOWS_PACKET, PACKET_FLOW)
  const direction = load<u32>(flows + FLOWS_PACKET, PACKET_DIRECTION)
  if ((settings & TRACK_CACHES) !== 0 && verdict !== VERDICT_RELATED) {
    const remembered = useDecision(stage, flows, packet, flags, flow, direction)
    if (remembered !== NOT_REMEMBERED) return remembered
  }
  if ((<u32>load<u16>(flow, FLOW_STATUS) & STATUS_TRANSLATED) !== 0) {
    const network = packet + ETHERNET_BYTES
    if (verdict !== VERDICT_RELATED) translateSide(flow, direction, network, flags, SIDE_DESTINATION)
    else translateError(flow, direction, network, packet + captured, SIDE_DESTINATION)
  }
  if ((settings & TRACK_MARKS) !== 0) mark(flows, packet, flow, direction, verdict)
  return verdict
}

/** The verdict on what is not as usual. Exported so that it stays a function of its own, and out of the way of what is. */
export function judgeOther(stage: u32, flows: u32, descriptor: u32): u32 {
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const flags = load<u32>(descriptor, DESCRIPTOR_FLAGS)
  const verdict = judgePacket(flows, packet, load<u32>(descriptor, DESCRIPTOR_CAPTURED), flags)
  return verdict === READ_FRAGMENT ? judgeFragment(stage, flows, descriptor) : verdict
}

function mark(flows: u32, packet: u32, flow: u32, direction: u32, verdict: u32): void {
  const uses = ((<u32>load<u16>(flow, FLOW_STATUS) >> STATUS_USES_SHIFT) << MARK_USES_SHIFT) & MARK_USES
  const reply: u32 = direction === 0 ? 0 : MARK_REPLY
  const related: u32 = verdict === VERDICT_RELATED ? MARK_RELATED : 0
  store<u32>(packet - MARK_BEFORE, (numberOf(flows, flow) + 1) | uses | reply | related)
}

/** Looks at the next `count` flows and forgets those that have expired; gives the number of the flow behind them. */
export function flowsSweep(flows: u32, next: u32, count: u32): u32 {
  return sweep(flows, next, count)
}
