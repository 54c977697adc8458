import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
} from '../memory/formats'
import { release } from '../memory/pool.inline.as'
import {
  COUNT_FRAGMENTS,
  FLOW_STATUS,
  FLOWS_PACKET,
  MARK_BEFORE,
  MARK_RELATED,
  MARK_REPLY,
  MARK_USES,
  MARK_USES_SHIFT,
  PACKET_DIRECTION,
  PACKET_FLOW,
  STATUS_USES_SHIFT,
  VERDICT_DROPPED,
  VERDICT_RELATED,
  VERDICT_UNTRACKED,
} from './formats'
import { judgePacket } from './judge.inline.as'
import { READ_FRAGMENT } from './packet.inline.as'
import { countOne, numberOf, sweep } from './table.inline.as'

/**
 * Judges the packets of a bundle: each goes to the bundle of its verdict, whose
 * addresses stand at `outputs`, the first of them this one; what there is no
 * room for is dropped and counted at `drops`.
 */
export function track(pool: u32, flows: u32, bundle: u32, outputs: u32, drops: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let stays = first
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const verdict = trackOne(flows, packet, load<u32>(at, DESCRIPTOR_CAPTURED), load<u32>(at, DESCRIPTOR_FLAGS))
    if (verdict === 0) {
      v128.store(stays, v128.load(at))
      stays += DESCRIPTOR_BYTES
    } else if (verdict < <u32>VERDICT_DROPPED) append(load<u32>(outputs + (verdict << 2)), at)
    else {
      const reason = drops + ((verdict - VERDICT_DROPPED) << 3)
      store<f64>(reason, load<f64>(reason) + 1)
      release(pool, packet)
    }
  }
  store<u32>(bundle, (stays - first) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}

function append(output: u32, descriptor: u32): void {
  const count = load<u32>(output, BUNDLE_COUNT)
  v128.store(output + BUNDLE_DESCRIPTORS + count * DESCRIPTOR_BYTES, v128.load(descriptor))
  store<u32>(output, count + 1, BUNDLE_COUNT)
}

/** The verdict on a packet, whose flow is marked before it. */
function trackOne(flows: u32, packet: u32, captured: u32, flags: u32): u32 {
  const mark = packet - MARK_BEFORE
  const verdict = judgePacket(flows, packet, captured, flags)
  if (verdict === READ_FRAGMENT) {
    store<u32>(mark, 0)
    countOne(flows, COUNT_FRAGMENTS)
    return VERDICT_UNTRACKED
  }
  if (verdict > <u32>VERDICT_RELATED) {
    store<u32>(mark, 0)
    return verdict
  }
  const flow = load<u32>(flows + FLOWS_PACKET, PACKET_FLOW)
  const uses = ((<u32>load<u16>(flow, FLOW_STATUS) >> STATUS_USES_SHIFT) << MARK_USES_SHIFT) & MARK_USES
  const direction: u32 = load<u32>(flows + FLOWS_PACKET, PACKET_DIRECTION) === 0 ? 0 : MARK_REPLY
  const related: u32 = verdict === VERDICT_RELATED ? MARK_RELATED : 0
  store<u32>(mark, (numberOf(flows, flow) + 1) | uses | direction | related)
  return verdict
}

/** Looks at the next `count` flows and forgets those that have expired; gives the number of the flow behind them. */
export function flowsSweep(flows: u32, next: u32, count: u32): u32 {
  return sweep(flows, next, count)
}
