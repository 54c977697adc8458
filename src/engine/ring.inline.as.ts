import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_WIRE,
  MOST_IN_BUNDLE,
  RING_CONSUMED,
  RING_CONSUMER_MASK,
  RING_PRODUCED,
  RING_PRODUCER_MASK,
  RING_SEEN_CONSUMED,
  RING_SEEN_PRODUCED,
  RING_SLOTS,
} from '../memory/formats'

const FOUR_DESCRIPTORS: u32 = 64
const WIRE_LANE: u8 = <u8>(DESCRIPTOR_WIRE / 4)

/*
 * What moves descriptors gives how many, and from bit 32 on their bytes on the
 * wire: 0 where none has moved.
 */

export function countOf(moved: u64): u32 {
  return <u32>moved
}

export function bytesOf(moved: u64): u32 {
  return <u32>(moved >> 32)
}

/** Puts what it can of the bundle into the ring; the rest stays in the bundle. */
export function pushBundle(ring: u32, bundle: u32): u64 {
  const count = load<u32>(bundle, BUNDLE_COUNT)
  const first = bundle + BUNDLE_DESCRIPTORS
  const moved = push(ring, first, count)
  const left = count - countOf(moved)
  store<u32>(bundle, left, BUNDLE_COUNT)
  if (left > 0) copy(first, first + countOf(moved) * DESCRIPTOR_BYTES, left)
  return moved
}

/** Appends up to `most` descriptors of the ring to the bundle. */
export function pullBundle(ring: u32, bundle: u32, most: u32): u64 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const moved = peek(ring, bundle + BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES, min<u32>(most, MOST_IN_BUNDLE - held))
  if (moved === 0) return 0
  consume(ring, countOf(moved))
  store<u32>(bundle, held + countOf(moved), BUNDLE_COUNT)
  return moved
}

/** Puts up to `count` descriptors at `from` into the ring, and publishes them with one store. */
export function push(ring: u32, from: u32, count: u32): u64 {
  const mask = load<u32>(ring, RING_PRODUCER_MASK)
  const produced = load<u32>(ring, RING_PRODUCED)
  let free = mask + 1 - (produced - load<u32>(ring, RING_SEEN_CONSUMED))
  if (free < count) {
    const consumed = atomic.load<u32>(ring, RING_CONSUMED)
    store<u32>(ring, consumed, RING_SEEN_CONSUMED)
    free = mask + 1 - (produced - consumed)
  }
  const pushed: u32 = min<u32>(count, free)
  if (pushed === 0) return 0
  const place = produced & mask
  const first: u32 = min<u32>(pushed, mask + 1 - place)
  const slots = ring + RING_SLOTS
  const bytes =
    copy(slots + place * DESCRIPTOR_BYTES, from, first) + copy(slots, from + first * DESCRIPTOR_BYTES, pushed - first)
  atomic.store<u32>(ring, produced + pushed, RING_PRODUCED)
  return ((<u64>bytes) << 32) | <u64>pushed
}

/** Copies up to `most` descriptors to `to`, and leaves them in the ring until `consume`. */
export function peek(ring: u32, to: u32, most: u32): u64 {
  const mask = load<u32>(ring, RING_CONSUMER_MASK)
  const consumed = load<u32>(ring, RING_CONSUMED)
  let there = load<u32>(ring, RING_SEEN_PRODUCED) - consumed
  if (there < most) {
    const produced = atomic.load<u32>(ring, RING_PRODUCED)
    store<u32>(ring, produced, RING_SEEN_PRODUCED)
    there = produced - consumed
  }
  const pulled: u32 = min<u32>(most, there)
  const place = consumed & mask
  const first: u32 = min<u32>(pulled, mask + 1 - place)
  const slots = ring + RING_SLOTS
  const bytes =
    copy(to, slots + place * DESCRIPTOR_BYTES, first) + copy(to + first * DESCRIPTOR_BYTES, slots, pulled - first)
  return ((<u64>bytes) << 32) | <u64>pulled
}

/** Gives the producer the slots of what was copied out, with one store. */
export function consume(ring: u32, count: u32): void {
  atomic.store<u32>(ring, load<u32>(ring, RING_CONSUMED) + count, RING_CONSUMED)
}

/**
 * Copies descriptors, to where they are or before it; gives their bytes on the
 * wire, which are lane 1 of the sum of all: counting costs one addition each.
 */
export function copy(to: u32, from: u32, count: u32): u32 {
  const end = from + count * DESCRIPTOR_BYTES
  let sums = i32x4.splat(0)
  let at = from
  let into = to
  for (; end - at >= FOUR_DESCRIPTORS; at += FOUR_DESCRIPTORS, into += FOUR_DESCRIPTORS) {
    const one = v128.load(at)
    const two = v128.load(at, DESCRIPTOR_BYTES)
    const three = v128.load(at, 2 * DESCRIPTOR_BYTES)
    const four = v128.load(at, 3 * DESCRIPTOR_BYTES)
    v128.store(into, one)
    v128.store(into, two, DESCRIPTOR_BYTES)
    v128.store(into, three, 2 * DESCRIPTOR_BYTES)
    v128.store(into, four, 3 * DESCRIPTOR_BYTES)
    sums = i32x4.add(sums, i32x4.add(i32x4.add(one, two), i32x4.add(three, four)))
  }
  for (; at < end; at += DESCRIPTOR_BYTES, into += DESCRIPTOR_BYTES) {
    const one = v128.load(at)
    v128.store(into, one)
    sums = i32x4.add(sums, one)
  }
  return i32x4.extract_lane(sums, WIRE_LANE)
}
