import {
  BELL_LOOP,
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  MOST_IN_BUNDLE,
  TRAFFIC_RECEIVED_PACKETS,
  TRAFFIC_SENT_PACKETS,
  WORKER_BELL,
} from '../memory/formats'
import { holdDescriptors } from '../memory/pool.inline.as'
import { consume, copy, countOf, peek, push, pushBundle } from './ring.inline.as'
import { countMoved } from './traffic.inline.as'

/**
 * Appends up to `most` packets of another worker's to the bundle; gives how
 * many. They are noted as ours before they leave the ring: a worker that is
 * ended between the two has left them there.
 */
export function ringReceive(ring: u32, traffic: u32, pool: u32, bundle: u32, most: u32): u32 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const first = bundle + BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES
  const moved = peek(ring, first, min<u32>(most, MOST_IN_BUNDLE - held))
  const count = countOf(moved)
  if (count === 0) return 0
  holdDescriptors(pool, first, count)
  consume(ring, count)
  store<u32>(bundle, held + count, BUNDLE_COUNT)
  countMoved(traffic + TRAFFIC_RECEIVED_PACKETS, moved)
  return count
}

/** Puts what fits of the bundle into the ring, with one publish, and counts it; gives how many. */
export function ringSend(ring: u32, traffic: u32, bundle: u32): u32 {
  const moved = pushBundle(ring, bundle)
  countMoved(traffic + TRAFFIC_SENT_PACKETS, moved)
  return countOf(moved)
}

/** As `ringSend`, with a publish for each packet, as one would do it without bundles: for comparison. */
export function ringSendEach(ring: u32, traffic: u32, bundle: u32): u32 {
  const count = load<u32>(bundle, BUNDLE_COUNT)
  const first = bundle + BUNDLE_DESCRIPTORS
  let sent: u32 = 0
  for (; sent < count; sent++) {
    const moved = push(ring, first + sent * DESCRIPTOR_BYTES, 1)
    if (moved === 0) break
    countMoved(traffic + TRAFFIC_SENT_PACKETS, moved)
  }
  store<u32>(bundle, count - sent, BUNDLE_COUNT)
  if (sent < count) copy(first, first + sent * DESCRIPTOR_BYTES, count - sent)
  return sent
}

/** Wakes the worker of that bell, if it sleeps; gives BELL_POLL where the caller has to, because it sleeps in the kernel. */
export function bellRing(bell: u32): u32 {
  const state = atomic.load<u32>(bell, WORKER_BELL)
  if (state === 0 || atomic.cmpxchg<u32>(bell, state, 0, WORKER_BELL) !== state) return 0
  // All that wait there: some may have been rung for before, and not know it yet.
  if (state === BELL_LOOP) atomic.notify(bell + WORKER_BELL, -1)
  return state
}
