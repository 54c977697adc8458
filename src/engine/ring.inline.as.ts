import {
  DESCRIPTOR_BYTES,
  RING_CONSUMED,
  RING_CONSUMER_MASK,
  RING_PRODUCED,
  RING_PRODUCER_MASK,
  RING_SEEN_CONSUMED,
  RING_SEEN_PRODUCED,
  RING_SLOTS,
} from '../memory/formats'

/** Puts up to `count` descriptors at `from` into the ring, and publishes them with one store; gives how many. */
export function push(ring: u32, from: u32, count: u32): u32 {
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
  copy(slots + place * DESCRIPTOR_BYTES, from, first)
  copy(slots, from + first * DESCRIPTOR_BYTES, pushed - first)
  atomic.store<u32>(ring, produced + pushed, RING_PRODUCED)
  return pushed
}

/** Takes up to `most` descriptors out of the ring to `to`; gives how many. */
export function pull(ring: u32, to: u32, most: u32): u32 {
  const pulled = peek(ring, to, most)
  if (pulled > 0) consume(ring, pulled)
  return pulled
}

/** Copies up to `most` descriptors to `to`, and leaves them in the ring until `consume`; gives how many. */
export function peek(ring: u32, to: u32, most: u32): u32 {
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
  copy(to, slots + place * DESCRIPTOR_BYTES, first)
  copy(to + first * DESCRIPTOR_BYTES, slots, pulled - first)
  return pulled
}

/** Gives the producer the slots of what was copied out, with one store. */
export function consume(ring: u32, count: u32): void {
  atomic.store<u32>(ring, load<u32>(ring, RING_CONSUMED) + count, RING_CONSUMED)
}

/** Copies descriptors, one load and one store each. */
export function copy(to: u32, from: u32, count: u32): void {
  for (let at: u32 = 0, end = count * DESCRIPTOR_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    v128.store(to + at, v128.load(from + at))
  }
}
