import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES, MOST_IN_BUNDLE } from '../memory/formats'
import { holdDescriptors } from '../memory/pool.inline.as'
import { atomicExchange, atomicLoad, atomicStore, countStore } from './atomic.inline.as'
import {
  SHARED_COUNT_BITS,
  SHARED_MARK_BYTES,
  SHARED_MASK,
  SHARED_RESERVED,
  SHARED_SLOTS,
  SHARED_TAKEN,
} from './formats'
import { SHARED_CONSUMED, SHARED_LAG_SHIFT, SIDE_SEEN } from './shared-layout.inline.as'
import { dropFront, markOf, readSlots } from './slots.inline.as'

/*
 * The queue without a lock. A producer reserves the slots of a whole bundle by
 * one exchange, fills them, and publishes them by one store: the mark of the
 * first slot, which says from where on and how many. Nobody waits for another
 * producer; the consumer sees bundles in the order in which they were reserved,
 * so what one producer sends stays in its order. It gives slots back an eighth
 * of the queue at once. (A bounded queue with a
 * sequence word for each slot is D. Vyukov's; here one word serves for a bundle.)
 */

const COUNT_BITS: u64 = SHARED_COUNT_BITS
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1

/**
 * Puts what there is room for of the bundle into the queue, the rest stays; gives
 * how many went. V8 ends a thread only where a function begins and where a loop
 * goes round; a producer that is ended between reservation and publication would
 * stop the consumer there for ever, so in between is neither, in no build.
 */
export function sharedPush(queue: u32, side: u32, bundle: u32): u32 {
  const count = <i64>load<u32>(bundle, BUNDLE_COUNT)
  if (count === 0) return 0
  const mask = load<u32>(queue, SHARED_MASK)
  const from = bundle + <u32>BUNDLE_DESCRIPTORS
  const slots = queue + <u32>SHARED_SLOTS
  // A guess, which the exchange proves.
  let reserved = load<u64>(queue, SHARED_RESERVED)
  let pushed: u32 = 0
  let place: u32 = 0
  for (;;) {
    // What we have seen of the consumer is only ever too old.
    let free = <i64>mask + 1 - <i64>(reserved - load<u64>(side, SIDE_SEEN))
    if (free < count) {
      const consumed = atomicLoad(side, queue + <u32>SHARED_CONSUMED)
      store<u64>(side, consumed, SIDE_SEEN)
      free = <i64>mask + 1 - <i64>(reserved - consumed)
      if (free <= 0) return 0
    }
    pushed = <u32>min<i64>(count, free)
    place = <u32>reserved & mask
    const stood = atomicExchange(side, queue + <u32>SHARED_RESERVED, reserved, reserved + pushed)
    if (stood === reserved) break
    reserved = stood
  }
  const first: u32 = min<u32>(pushed, mask + 1 - place) * DESCRIPTOR_BYTES
  const rest = pushed * DESCRIPTOR_BYTES - first
  const at = slots + place * DESCRIPTOR_BYTES
  if (pushed === 1) v128.store(at, v128.load(from))
  else {
    memory.copy(at, from, first)
    if (rest > 0) memory.copy(slots, from + first, rest)
  }
  const mark = slots + (mask + 1) * DESCRIPTOR_BYTES + place * SHARED_MARK_BYTES
  atomic.store<u64>(mark, (reserved << COUNT_BITS) | pushed)
  countStore(side)
  dropFront(bundle, pushed)
  return pushed
}

/**
 * Appends up to `most` descriptors to the bundle, as far as they are published;
 * gives how many. They are noted as the frames of `pool`'s worker before they
 * leave the queue.
 */
export function sharedPull(queue: u32, side: u32, pool: u32, bundle: u32, most: u32): u32 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const room: u32 = min<u32>(most, MOST_IN_BUNDLE - held)
  const taken = load<u64>(queue, SHARED_TAKEN)
  const first = bundle + <u32>BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES
  let pulled: u32 = 0
  while (pulled < room) {
    const index = taken + pulled
    const published = publishedAt(queue, side, index)
    if (published === 0) break
    const count: u32 = min<u32>(published, room - pulled)
    readSlots(queue, index, first + pulled * DESCRIPTOR_BYTES, count)
    // Of what is too much the rest begins further on; only the consumer looks there.
    const rest = index + count
    if (count < published) store<u64>(markOf(queue, rest), (rest << COUNT_BITS) | (published - count))
    pulled += count
  }
  if (pulled === 0) return 0
  if (pool !== 0) holdDescriptors(pool, first, pulled)
  store<u32>(bundle, held + pulled, BUNDLE_COUNT)
  store<u64>(queue, taken + pulled, SHARED_TAKEN)
  const lag = (load<u32>(queue, SHARED_MASK) + 1) >> SHARED_LAG_SHIFT
  if (taken + pulled - load<u64>(queue, SHARED_CONSUMED) >= lag)
    atomicStore(side, queue + <u32>SHARED_CONSUMED, taken + pulled)
  return pulled
}

/** Whether `sharedPull` would give something; for the consumer. */
export function sharedReady(queue: u32, side: u32): u32 {
  return publishedAt(queue, side, load<u64>(queue, SHARED_TAKEN))
}

/** How many descriptors were published from `index` on; 0 where its mark is that of an earlier lap. */
function publishedAt(queue: u32, side: u32, index: u64): u32 {
  const mark = atomicLoad(side, markOf(queue, index))
  return mark >> COUNT_BITS === index ? <u32>(mark & COUNT_MASK) : 0
}
