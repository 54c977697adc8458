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
  FLOW_STATUS,
  FLOWS_PACKET,
  MARK_BEFORE,
  MARK_NUMBER,
  MARK_RELATED,
  PACKET_OTHER_KEY,
  STATUS_MASQUERADED,
  STATUS_SETTLED,
  TRANSLATE_CHANGED,
  TRANSLATE_DROPS,
  TRANSLATE_ENDED,
  TRANSLATE_FLOWS,
  TRANSLATE_POOL,
  TRANSLATE_PORT,
  TRANSLATE_PORT_LINE,
  TRANSLATED,
} from './formats'
import { markedFlow } from './remembered.inline.as'
import { restoreDestination, SIDE_SOURCE, translateError, translateSide } from './rewrite.inline.as'
import { isOfPort, settle } from './rules.inline.as'
import { endFlow } from './table.inline.as'

const ETHERNET_BYTES: u32 = 14

/** Translates the sources of a bundle's packets, of which the ports that they leave by are known now. */
export function translate(stage: u32, bundle: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let stays = first
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const reason = translateOne(stage, at)
    if (reason === TRANSLATED) {
      v128.store(stays, v128.load(at))
      stays += DESCRIPTOR_BYTES
      continue
    }
    const counter = load<u32>(stage, TRANSLATE_DROPS) + ((reason - 1) << 3)
    store<f64>(counter, load<f64>(counter) + 1)
    release(load<u32>(stage, TRANSLATE_POOL), load<u32>(at, DESCRIPTOR_ADDRESS))
  }
  store<u32>(bundle, (stays - first) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}

/** TRANSLATED, also where nothing is to be, or why the packet must not leave. */
function translateOne(stage: u32, descriptor: u32): u32 {
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const mark = load<u32>(packet - MARK_BEFORE)
  if ((mark & MARK_NUMBER) === 0) return TRANSLATED
  const flows = load<u32>(stage, TRANSLATE_FLOWS)
  const flow = markedFlow(flows, packet)
  // It has waited for a neighbour until its flow was forgotten: nobody knows any more by which source it leaves.
  if (flow === 0) return TRANSLATE_ENDED
  const direction = mark >> 31
  const network = packet + ETHERNET_BYTES
  if ((mark & MARK_RELATED) !== 0) {
    translateError(flow, direction, network, packet + load<u32>(descriptor, DESCRIPTOR_CAPTURED), SIDE_SOURCE)
    return TRANSLATED
  }
  const reason = sourceOf(stage, flows, flow, direction)
  if (reason !== TRANSLATED) endFlow(flows, flow)
  else translateSide(flow, direction, network, load<u32>(descriptor, DESCRIPTOR_FLAGS), SIDE_SOURCE)
  return reason
}

/** Decides about the source of a flow with its first packet that gets as far, and whether it still stands with those that follow. */
function sourceOf(stage: u32, flows: u32, flow: u32, direction: u32): u32 {
  const status = <u32>load<u16>(flow, FLOW_STATUS)
  const line = load<u32>(stage, TRANSLATE_PORT_LINE)
  if ((status & STATUS_SETTLED) === 0) {
    store<u16>(flow, <u16>(status | STATUS_SETTLED), FLOW_STATUS)
    return direction === 0 ? settle(flows, flow, line, load<u32>(stage, TRANSLATE_PORT)) : TRANSLATED
  }
  if (direction !== 0 || (status & STATUS_MASQUERADED) === 0) return TRANSLATED
  return isOfPort(flow, line, flows + FLOWS_PACKET + <u32>PACKET_OTHER_KEY) ? TRANSLATED : TRANSLATE_CHANGED
}

/** Gives the packets of a bundle the destinations back that they have come with. */
export function restore(flows: u32, bundle: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const flow = markedFlow(flows, packet)
    const mark = load<u32>(packet - MARK_BEFORE)
    if (flow === 0 || (mark & MARK_RELATED) !== 0) continue
    restoreDestination(flow, mark >> 31, packet + ETHERNET_BYTES, load<u32>(at, DESCRIPTOR_FLAGS))
  }
}
