import {
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_CAPTURED,
  METADATA_BYTES,
  METADATA_HAS_FLOW,
  METADATA_HASH,
  METADATA_VALID,
} from '../memory/formats'
import { flowHashOf } from '../wire/flow-hash.inline.as'
import { append, DROP_CODEL, DROP_FULL, drop, ENTRY_NEXT, ENTRY_SINCE, lengthOf, shift } from './entries.inline.as'
import {
  FLOW_BYTES,
  FQ_FLOW_COUNT,
  FQ_FLOWS,
  FQ_INTERVAL,
  FQ_MARKS,
  FQ_MOST_BYTES,
  FQ_MOST_PACKETS,
  FQ_QUANTUM,
  FQ_TARGET,
  QUEUE_MARKED,
} from './formats'
import { markCongestion } from './service.inline.as'

/*
 * FQ-CoDel, RFC 8290: a queue for each hash of a flow, served in turn by deficit
 * round robin, those that have just begun first; each is held short by CoDel,
 * RFC 8289, which drops at the head what has waited too long for too long.
 */

/** Further words of the node: lists of new and old flows, and what is in all of them. */
const NEW: u32 = 48
const OLD: u32 = 56
const PACKETS: usize = 64
const BYTES: usize = 68

/** A flow: its packets and their bytes, what it may still send, whether and where it is listed, and CoDel's state. */
const LIST: u32 = 0
const FLOW_BACKLOG: usize = 8
const DEFICIT: usize = 12
const IS_LISTED: usize = 16
const FLOW_NEXT: usize = 20
const COUNT: usize = 24
const LAST_COUNT: usize = 28
const IS_DROPPING: usize = 32
const FIRST_ABOVE: usize = 40
const DROP_NEXT: usize = 48

/** Packets that are dropped at once from the longest flow when the limit is met: looking for it takes as long. */
const MOST_AT_ONCE: u32 = 64
/** A flow that goes on dropping within so many intervals goes on where it was (RFC 8289, 5.4). */
const RESUME_INTERVALS: f64 = 16

export function fqPut(queue: u32, node: u32, entry: u32): void {
  const flow = load<u32>(node, FQ_FLOWS) + flowOf(entry, load<u32>(node, FQ_FLOW_COUNT)) * FLOW_BYTES
  append(flow + LIST, entry, ENTRY_NEXT)
  count(node, flow, 1, lengthOf(entry))
  if (load<u32>(flow, IS_LISTED) === 0) {
    store<u32>(flow, 1, IS_LISTED)
    store<i32>(flow, load<i32>(node, FQ_QUANTUM), DEFICIT)
    append(node + NEW, flow, FLOW_NEXT)
  }
  if (
    load<u32>(node, PACKETS) > load<u32>(node, FQ_MOST_PACKETS) ||
    load<u32>(node, BYTES) > load<u32>(node, FQ_MOST_BYTES)
  ) {
    dropLongest(queue, node)
  }
}

/** The next packet by the time `now`; 0 where there is none. */
export function fqTake(queue: u32, node: u32, now: f64): u32 {
  while (load<u32>(node + NEW) !== 0 || load<u32>(node + OLD) !== 0) {
    const isNew = load<u32>(node + NEW) !== 0
    const list = node + (isNew ? NEW : OLD)
    const flow = load<u32>(list)
    if (load<i32>(flow, DEFICIT) <= 0) {
      store<i32>(flow, load<i32>(flow, DEFICIT) + load<i32>(node, FQ_QUANTUM), DEFICIT)
      append(node + OLD, shift(list, FLOW_NEXT), FLOW_NEXT)
      continue
    }
    const entry = codelTake(queue, node, flow, now)
    if (entry !== 0) {
      store<i32>(flow, load<i32>(flow, DEFICIT) - <i32>lengthOf(entry), DEFICIT)
      return entry
    }
    shift(list, FLOW_NEXT)
    // A new flow that is empty goes behind the old ones once, or it would be new, and first, again and again.
    if (isNew && load<u32>(node + OLD) !== 0) append(node + OLD, flow, FLOW_NEXT)
    else store<u32>(flow, 0, IS_LISTED)
  }
  return 0
}

function flowOf(entry: u32, flows: u32): u32 {
  const packet = load<u32>(entry, DESCRIPTOR_ADDRESS)
  const metadata = packet - METADATA_BYTES
  const hash: u32 =
    (load<u8>(metadata, METADATA_VALID) & METADATA_HAS_FLOW) !== 0
      ? load<u32>(metadata, METADATA_HASH)
      : flowHashOf(packet, load<u32>(entry, DESCRIPTOR_CAPTURED))
  return <u32>((<u64>hash * <u64>flows) >> 32)
}

function count(node: u32, flow: u32, packets: i32, bytes: i32): void {
  store<i32>(node, load<i32>(node, PACKETS) + packets, PACKETS)
  store<i32>(node, load<i32>(node, BYTES) + bytes, BYTES)
  store<i32>(flow, load<i32>(flow, FLOW_BACKLOG) + bytes, FLOW_BACKLOG)
}

/** Drops at the head of the flow that has most bytes, up to a half of them (RFC 8290, 4.1). */
function dropLongest(queue: u32, node: u32): void {
  const flows = load<u32>(node, FQ_FLOWS)
  let longest = flows
  for (let at = flows, end = flows + load<u32>(node, FQ_FLOW_COUNT) * FLOW_BYTES; at < end; at += FLOW_BYTES) {
    if (load<u32>(at, FLOW_BACKLOG) > load<u32>(longest, FLOW_BACKLOG)) longest = at
  }
  const goal = load<u32>(longest, FLOW_BACKLOG) >> 1
  for (let dropped: u32 = 0; dropped < MOST_AT_ONCE && load<u32>(longest, FLOW_BACKLOG) > goal; dropped++) {
    drop(queue, head(node, longest), DROP_FULL)
  }
}

/** Takes the first packet of a flow, which may be 0. */
function head(node: u32, flow: u32): u32 {
  const entry = shift(flow + LIST, ENTRY_NEXT)
  if (entry !== 0) count(node, flow, -1, -(<i32>lengthOf(entry)))
  return entry
}

/** RFC 8289, 5.5 and 5.6. */
function codelTake(queue: u32, node: u32, flow: u32, now: f64): u32 {
  let entry = head(node, flow)
  let isLate = staysLate(node, flow, entry, now)
  const interval = load<f64>(node, FQ_INTERVAL)
  if (load<u32>(flow, IS_DROPPING) !== 0) {
    if (!isLate) store<u32>(flow, 0, IS_DROPPING)
    while (now >= load<f64>(flow, DROP_NEXT) && load<u32>(flow, IS_DROPPING) !== 0) {
      const drops = load<u32>(flow, COUNT) + 1
      store<u32>(flow, drops, COUNT)
      const next = load<f64>(flow, DROP_NEXT) + interval / sqrt<f64>(<f64>drops)
      if (marked(queue, node, entry)) {
        store<f64>(flow, next, DROP_NEXT)
        return entry
      }
      drop(queue, entry, DROP_CODEL)
      entry = head(node, flow)
      isLate = staysLate(node, flow, entry, now)
      if (isLate) store<f64>(flow, next, DROP_NEXT)
      else store<u32>(flow, 0, IS_DROPPING)
    }
    return entry
  }
  if (!isLate) return entry
  if (!marked(queue, node, entry)) {
    drop(queue, entry, DROP_CODEL)
    entry = head(node, flow)
    staysLate(node, flow, entry, now)
  }
  store<u32>(flow, 1, IS_DROPPING)
  const since = load<u32>(flow, COUNT) - load<u32>(flow, LAST_COUNT)
  const drops: u32 = since > 1 && now - load<f64>(flow, DROP_NEXT) < RESUME_INTERVALS * interval ? since : 1
  store<u32>(flow, drops, COUNT)
  store<u32>(flow, drops, LAST_COUNT)
  store<f64>(flow, now + interval / sqrt<f64>(<f64>drops), DROP_NEXT)
  return entry
}

/** Whether packets of the flow have waited longer than the target for an interval by now, and more than one is there. */
function staysLate(node: u32, flow: u32, entry: u32, now: f64): bool {
  if (
    entry === 0 ||
    now - load<f64>(entry, ENTRY_SINCE) < load<f64>(node, FQ_TARGET) ||
    load<u32>(flow, FLOW_BACKLOG) <= load<u32>(node, FQ_QUANTUM)
  ) {
    store<f64>(flow, 0, FIRST_ABOVE)
    return false
  }
  const since = load<f64>(flow, FIRST_ABOVE)
  if (since === 0) {
    store<f64>(flow, now + load<f64>(node, FQ_INTERVAL), FIRST_ABOVE)
    return false
  }
  return now >= since
}

function marked(queue: u32, node: u32, entry: u32): bool {
  if (load<u32>(node, FQ_MARKS) === 0 || !markCongestion(entry)) return false
  store<f64>(queue, load<f64>(queue, QUEUE_MARKED) + 1, QUEUE_MARKED)
  return true
}
