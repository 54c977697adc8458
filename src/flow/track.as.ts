import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
} from '../memory/formats'
import { release } from '../memory/pool.inline.as'
import { TABLES_GENERATION } from '../route/formats'
import {
  COUNT_FRAGMENTS,
  DROP_FRAGMENT,
  FLOW_STATUS,
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
  TRACK_DROPS,
  TRACK_FLOWS,
  TRACK_MARKS,
  TRACK_OUTPUTS,
  TRACK_POOL,
  TRACK_ROUTES,
  TRACK_SETTINGS,
  VERDICT_DROPPED,
  VERDICT_RELATED,
  VERDICT_UNTRACKED,
} from './formats'
import { judgePacket } from './judge.inline.as'
import { READ_FRAGMENT } from './packet.inline.as'
import { hasRules } from './publish.inline.as'
import { NOT_REMEMBERED, useDecision } from './remembered.inline.as'
import { SIDE_DESTINATION, STATUS_TRANSLATED, translateError, translateSide } from './rewrite.inline.as'
import { countOne, numberOf, sweep } from './table.inline.as'
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
    } else drop(stage, load<u32>(at, DESCRIPTOR_ADDRESS), verdict - VERDICT_DROPPED)
  }
  endAppending(output, append)
  store<u32>(bundle, (stays - first) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}

function endAppending(output: u32, append: u32): void {
  if (output !== 0) store<u32>(output, (append - output - BUNDLE_DESCRIPTORS) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}

function drop(stage: u32, packet: u32, reason: u32): void {
  const counter = load<u32>(stage, TRACK_DROPS) + (reason << 3)
  store<f64>(counter, load<f64>(counter) + 1)
  release(load<u32>(stage, TRACK_POOL), packet)
}

/** The verdict on a packet; one that a remembered decision has been taken for is rewritten by it. */
function trackOne(stage: u32, flows: u32, descriptor: u32): u32 {
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const flags = load<u32>(descriptor, DESCRIPTOR_FLAGS)
  const settings = load<u32>(stage, TRACK_SETTINGS)
  const captured = load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  let verdict = judgeUsual(flows, packet, captured)
  if (verdict === NOT_USUAL) verdict = judgePacket(flows, packet, captured, flags)
  if (verdict > <u32>VERDICT_RELATED) {
    if ((settings & TRACK_MARKS) !== 0) store<u32>(packet - MARK_BEFORE, 0)
    if (verdict !== READ_FRAGMENT) return verdict
    countOne(flows, COUNT_FRAGMENTS)
    return hasRules(flows) ? VERDICT_DROPPED + DROP_FRAGMENT : VERDICT_UNTRACKED
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
