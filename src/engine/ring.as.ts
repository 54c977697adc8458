import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  MOST_IN_BUNDLE,
  RING_CONSUMED,
  RING_PRODUCED,
} from '../memory/formats'
import { copy, pull, push } from './ring.inline.as'

/** Puts what it can of the bundle into the ring; the rest stays in the bundle. Gives how many went. */
export function ringPush(ring: u32, bundle: u32): u32 {
  const count = load<u32>(bundle, BUNDLE_COUNT)
  const first = bundle + BUNDLE_DESCRIPTORS
  const pushed = push(ring, first, count)
  store<u32>(bundle, count - pushed, BUNDLE_COUNT)
  if (pushed < count) copy(first, first + pushed * DESCRIPTOR_BYTES, count - pushed)
  return pushed
}

/** Appends up to `most` descriptors of the ring to the bundle; gives how many. */
export function ringPull(ring: u32, bundle: u32, most: u32): u32 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const wanted: u32 = min<u32>(most, MOST_IN_BUNDLE - held)
  const pulled = pull(ring, bundle + BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES, wanted)
  store<u32>(bundle, held + pulled, BUNDLE_COUNT)
  return pulled
}

/** Descriptors in the ring, as either side or an onlooker sees it. */
export function ringCount(ring: u32): u32 {
  return atomic.load<u32>(ring, RING_PRODUCED) - atomic.load<u32>(ring, RING_CONSUMED)
}
