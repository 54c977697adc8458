import {
  BELL_LOOP,
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  MOST_IN_BUNDLE,
  TRAFFIC_RECEIVED_BYTES,
  TRAFFIC_RECEIVED_PACKETS,
  TRAFFIC_SENT_BYTES,
  TRAFFIC_SENT_PACKETS,
  WORKER_BELL,
} from '../memory/formats'
import { holdDescriptors } from '../memory/pool.inline.as'
import { ringPush } from './ring.as'
import { consume, copy, peek, push } from './ring.inline.as'
import { add, wireBytes } from './traffic.inline.as'

/**
 * Appends up to `most` packets of another worker's to the bundle; gives how
 * many. They are noted as ours before they leave the ring: a worker that is
 * ended between the two has left them there.
 */
export function ringReceive(ring: u32, traffic: u32, pool: u32, bundle: u32, most: u32): u32 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const first = bundle + BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES
  const count = peek(ring, first, min<u32>(most, MOST_IN_BUNDLE - held))
  if (count === 0) return 0
  holdDescriptors(pool, first, count)
  consume(ring, count)
  store<u32>(bundle, held + count, BUNDLE_COUNT)
  add(traffic + TRAFFIC_RECEIVED_PACKETS, count)
  add(traffic + TRAFFIC_RECEIVED_BYTES, wireBytes(first, count))
  return count
}

/** Puts what fits of the bundle into the ring, with one publish, and counts it; gives how many. */
export function ringSend(ring: u32, traffic: u32, bundle: u32): u32 {
  const before = wireBytes(bundle + BUNDLE_DESCRIPTORS, load<u32>(bundle, BUNDLE_COUNT))
  return countSent(traffic, bundle, before, ringPush(ring, bundle))
}

/** As `ringSend`, with a publish for each packet, as one would do it without bundles: for comparison. */
export function ringSendEach(ring: u32, traffic: u32, bundle: u32): u32 {
  const count = load<u32>(bundle, BUNDLE_COUNT)
  const first = bundle + BUNDLE_DESCRIPTORS
  const before = wireBytes(first, count)
  let sent: u32 = 0
  while (sent < count && push(ring, first + sent * DESCRIPTOR_BYTES, 1) === 1) sent++
  store<u32>(bundle, count - sent, BUNDLE_COUNT)
  if (sent < count) copy(first, first + sent * DESCRIPTOR_BYTES, count - sent)
  return countSent(traffic, bundle, before, sent)
}

/** Wakes the worker of that bell, if it sleeps; gives BELL_POLL where the caller has to, because it sleeps in the kernel. */
export function bellRing(bell: u32): u32 {
  const state = atomic.load<u32>(bell, WORKER_BELL)
  if (state === 0 || atomic.cmpxchg<u32>(bell, state, 0, WORKER_BELL) !== state) return 0
  // All that wait there: some may have been rung for before, and not know it yet.
  if (state === BELL_LOOP) atomic.notify(bell + WORKER_BELL, -1)
  return state
}

function countSent(traffic: u32, bundle: u32, before: u32, count: u32): u32 {
  if (count === 0) return 0
  const left = wireBytes(bundle + BUNDLE_DESCRIPTORS, load<u32>(bundle, BUNDLE_COUNT))
  add(traffic + TRAFFIC_SENT_PACKETS, count)
  add(traffic + TRAFFIC_SENT_BYTES, before - left)
  return count
}
