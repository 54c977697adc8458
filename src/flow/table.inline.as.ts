import {
  BUCKET_BYTES,
  BUCKET_REFERENCES,
  BUCKET_SLOTS,
  COUNT_EVICTED,
  COUNT_EXPIRED,
  FLOW_ADDRESSES,
  FLOW_BYTES,
  FLOW_DEADLINE,
  FLOW_KEYS,
  FLOW_STATUS,
  FLOWS_ACTIVE,
  FLOWS_BUCKET_MASK,
  FLOWS_BUCKETS,
  FLOWS_CAPACITY,
  FLOWS_CLOCK,
  FLOWS_COUNTERS,
  FLOWS_EVICT,
  FLOWS_FREE,
  FLOWS_RECORDS,
  FLOWS_SCRATCH,
  KEY_BYTES,
  KEY_FAMILY,
  NO_FLOW,
  STATUS_ASSURED,
  STATUS_IN_USE,
  STATUS_REPLIED,
  STATUS_USE,
  STATUS_USES,
  TUPLE_ADDRESSES,
} from './formats'
import { hashOf } from './hash.inline.as'

/** Flows that are looked at, beside those of two buckets, for one that may be forgotten. */
const EVICTION_STEPS: u32 = 32

/*
 * A key has two buckets, which the hash's lower bits and those from 21 on
 * number, and a tag of its upper half. It is put into the first unless that is
 * full; tables are at most half full, so the second is rarely read.
 */
export function firstBucket(flows: u32, hash: u64): u32 {
  return load<u32>(flows, FLOWS_BUCKETS) + (<u32>hash & load<u32>(flows, FLOWS_BUCKET_MASK)) * BUCKET_BYTES
}

function secondBucket(flows: u32, hash: u64): u32 {
  return load<u32>(flows, FLOWS_BUCKETS) + (<u32>(hash >> 21) & load<u32>(flows, FLOWS_BUCKET_MASK)) * BUCKET_BYTES
}

export function tagOf(hash: u64): u32 {
  return <u32>(hash >> 32) | 1
}

/** A bit for each slot of which the tag is this one. */
export function slotsOf(bucket: u32, tag: u32): u32 {
  const wanted = i32x4.splat(tag)
  return (
    i32x4.bitmask(i32x4.eq(v128.load(bucket), wanted)) | (i32x4.bitmask(i32x4.eq(v128.load(bucket, 16), wanted)) << 4)
  )
}

export function flowAt(flows: u32, reference: u32): u32 {
  return load<u32>(flows, FLOWS_RECORDS) + (reference >> 1) * FLOW_BYTES
}

/** The reference of the flow and direction that a packet of this key belongs to, or NO_FLOW. */
export function find(flows: u32, tuple: u32): u32 {
  const hash = hashOf(flows, tuple)
  const found = findIn(flows, firstBucket(flows, hash), tagOf(hash), tuple)
  return found !== NO_FLOW ? found : findIn(flows, secondBucket(flows, hash), tagOf(hash), tuple)
}

function findIn(flows: u32, bucket: u32, tag: u32, tuple: u32): u32 {
  for (let slots = slotsOf(bucket, tag); slots !== 0; slots &= slots - 1) {
    const reference = load<u32>(bucket + (ctz<u32>(slots) << 2), BUCKET_REFERENCES)
    if (isKey(flowAt(flows, reference), reference & 1, tuple)) return reference
  }
  return NO_FLOW
}

/** Whether the key of this direction of a flow is that one. */
export function isKey(flow: u32, direction: u32, tuple: u32): bool {
  const key = flow + FLOW_KEYS + direction * KEY_BYTES
  if (((load<u64>(key) ^ load<u64>(tuple)) | (load<u64>(key, 8) ^ load<u64>(tuple, 8))) !== 0) return false
  if (load<u8>(tuple, KEY_FAMILY) === 4) return true
  const addresses = flow + FLOW_ADDRESSES + direction * 32
  return !v128.any_true(
    v128.or(
      v128.xor(v128.load(addresses), v128.load(tuple, TUPLE_ADDRESSES)),
      v128.xor(v128.load(addresses, 16), v128.load(tuple, TUPLE_ADDRESSES + 16)),
    ),
  )
}

/** Copies the key of one direction of a flow, with its addresses. */
export function copyKey(flow: u32, direction: u32, tuple: u32): void {
  v128.store(tuple, v128.load(flow + FLOW_KEYS + direction * KEY_BYTES))
  if (load<u8>(tuple, KEY_FAMILY) === 6) {
    memory.copy(tuple + <u32>TUPLE_ADDRESSES, flow + FLOW_ADDRESSES + direction * 32, 32)
  }
}

/** Writes a key into a flow, for one direction; the table does not know of it yet. */
export function setKey(flow: u32, direction: u32, tuple: u32): void {
  v128.store(flow + FLOW_KEYS + direction * KEY_BYTES, v128.load(tuple))
  if (load<u8>(tuple, KEY_FAMILY) === 6) {
    memory.copy(flow + FLOW_ADDRESSES + direction * 32, tuple + <u32>TUPLE_ADDRESSES, 32)
  }
}

/** Enters a reference under a key; false where both buckets are full, also after one entry could not move out. */
export function enter(flows: u32, tuple: u32, reference: u32): bool {
  const hash = hashOf(flows, tuple)
  const first = firstBucket(flows, hash)
  return (
    enterInto(first, tagOf(hash), reference) ||
    enterInto(secondBucket(flows, hash), tagOf(hash), reference) ||
    (makeRoom(flows, first) && enterInto(first, tagOf(hash), reference))
  )
}

function enterInto(bucket: u32, tag: u32, reference: u32): bool {
  const free = slotsOf(bucket, 0)
  if (free === 0) return false
  const slot = bucket + (ctz<u32>(free) << 2)
  store<u32>(slot, reference, BUCKET_REFERENCES)
  store<u32>(slot, tag)
  return true
}

/** Moves one entry of a full bucket to the other one that it may stand in. */
function makeRoom(flows: u32, bucket: u32): bool {
  for (let slot = bucket; slot < bucket + BUCKET_SLOTS * 4; slot += 4) {
    const reference = load<u32>(slot, BUCKET_REFERENCES)
    const hash = hashAt(flows, reference)
    const other = firstBucket(flows, hash) === bucket ? secondBucket(flows, hash) : firstBucket(flows, hash)
    if (other === bucket || !enterInto(other, load<u32>(slot), reference)) continue
    store<u32>(slot, 0)
    return true
  }
  return false
}

/** Of the key that a reference stands under. */
function hashAt(flows: u32, reference: u32): u64 {
  const tuple = flows + FLOWS_SCRATCH
  copyKey(flowAt(flows, reference), reference & 1, tuple)
  return hashOf(flows, tuple)
}

/** Takes a reference out of the table. */
export function leave(flows: u32, reference: u32): void {
  const hash = hashAt(flows, reference)
  const tag = tagOf(hash)
  if (!leaveFrom(firstBucket(flows, hash), tag, reference)) leaveFrom(secondBucket(flows, hash), tag, reference)
}

function leaveFrom(bucket: u32, tag: u32, reference: u32): bool {
  for (let slots = slotsOf(bucket, tag); slots !== 0; slots &= slots - 1) {
    const slot = bucket + (ctz<u32>(slots) << 2)
    if (load<u32>(slot, BUCKET_REFERENCES) !== reference) continue
    store<u32>(slot, 0)
    return true
  }
  return false
}

export function countOne(flows: u32, counter: u32): void {
  const at = flows + FLOWS_COUNTERS + counter
  store<f64>(at, load<f64>(at) + 1)
}

/** A flow of zeros, which is in use from now on, or 0 where all are. */
export function takeFlow(flows: u32): u32 {
  const flow = load<u32>(flows, FLOWS_FREE)
  if (flow === 0) return 0
  store<u32>(flows, load<u32>(flow, FLOW_DEADLINE), FLOWS_FREE)
  store<u32>(flows, load<u32>(flows, FLOWS_ACTIVE) + 1, FLOWS_ACTIVE)
  const uses = (<u32>load<u16>(flow, FLOW_STATUS) + STATUS_USE) & STATUS_USES
  memory.fill(flow, 0, FLOW_BYTES)
  store<u16>(flow, <u16>(uses | STATUS_IN_USE), FLOW_STATUS)
  return flow
}

export function numberOf(flows: u32, flow: u32): u32 {
  return (flow - load<u32>(flows, FLOWS_RECORDS)) / FLOW_BYTES
}

/** Makes a flow free that stands under neither of its keys any more. */
export function freeFlow(flows: u32, flow: u32): void {
  store<u16>(flow, load<u16>(flow, FLOW_STATUS) & STATUS_USES, FLOW_STATUS)
  store<u32>(flow, load<u32>(flows, FLOWS_FREE), FLOW_DEADLINE)
  store<u32>(flows, flow, FLOWS_FREE)
  store<u32>(flows, load<u32>(flows, FLOWS_ACTIVE) - 1, FLOWS_ACTIVE)
}

/** Forgets a flow. */
export function endFlow(flows: u32, flow: u32): void {
  const reference = numberOf(flows, flow) << 1
  leave(flows, reference)
  leave(flows, reference | 1)
  freeFlow(flows, flow)
}

export function hasExpired(flows: u32, flow: u32): bool {
  return load<u32>(flow, FLOW_DEADLINE) < load<u32>(flows, FLOWS_CLOCK)
}

/** Forgets what has expired among the next `count` flows. */
export function sweep(flows: u32, next: u32, count: u32): u32 {
  const capacity = load<u32>(flows, FLOWS_CAPACITY)
  let number = next
  for (let step: u32 = 0; step < count; step++) {
    const flow = flowAt(flows, number << 1)
    number = number + 1 === capacity ? 0 : number + 1
    if ((<u32>load<u16>(flow, FLOW_STATUS) & STATUS_IN_USE) === 0 || !hasExpired(flows, flow)) continue
    endFlow(flows, flow)
    countOne(flows, COUNT_EXPIRED)
  }
  return number
}

/**
 * Forgets one flow that is not assured: of the two buckets of a key, or else of
 * a bounded number of flows from where the last search has ended. Those that
 * have not been answered go first. False where all that it saw are assured.
 */
export function evict(flows: u32, tuple: u32): bool {
  const hash = hashOf(flows, tuple)
  let victim = leastAssured(flows, firstBucket(flows, hash), 0)
  victim = leastAssured(flows, secondBucket(flows, hash), victim)
  const capacity = load<u32>(flows, FLOWS_CAPACITY)
  let number = load<u32>(flows, FLOWS_EVICT)
  for (let step: u32 = 0; step < EVICTION_STEPS && victim === 0; step++) {
    victim = lessAssured(flowAt(flows, number << 1), 0)
    number = number + 1 === capacity ? 0 : number + 1
  }
  store<u32>(flows, number, FLOWS_EVICT)
  if (victim === 0) return false
  countOne(flows, hasExpired(flows, victim) ? COUNT_EXPIRED : COUNT_EVICTED)
  endFlow(flows, victim)
  return true
}

function leastAssured(flows: u32, bucket: u32, victim: u32): u32 {
  let least = victim
  for (let slot = bucket; slot < bucket + BUCKET_SLOTS * 4; slot += 4) {
    if (load<u32>(slot) !== 0) least = lessAssured(flowAt(flows, load<u32>(slot, BUCKET_REFERENCES)), least)
  }
  return least
}

/** Of a flow and a victim so far, or 0, that which may go rather; an assured one never. */
function lessAssured(flow: u32, victim: u32): u32 {
  const status = <u32>load<u16>(flow, FLOW_STATUS)
  if ((status & STATUS_IN_USE) === 0 || (status & STATUS_ASSURED) !== 0) return victim
  if (victim === 0) return flow
  const isReplied = (status & STATUS_REPLIED) !== 0
  const wasReplied = (<u32>load<u16>(victim, FLOW_STATUS) & STATUS_REPLIED) !== 0
  if (isReplied !== wasReplied) return isReplied ? victim : flow
  return load<u32>(flow, FLOW_DEADLINE) < load<u32>(victim, FLOW_DEADLINE) ? flow : victim
}
