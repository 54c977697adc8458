import { RING_CONSUMED, RING_PRODUCED } from '../memory/formats'
import { countOf, pullBundle, pushBundle } from './ring.inline.as'

/** Puts what it can of the bundle into the ring; the rest stays in the bundle. Gives how many went. */
export function ringPush(ring: u32, bundle: u32): u32 {
  return countOf(pushBundle(ring, bundle))
}

/** Appends up to `most` descriptors of the ring to the bundle; gives how many. */
export function ringPull(ring: u32, bundle: u32, most: u32): u32 {
  return countOf(pullBundle(ring, bundle, most))
}

/** Descriptors in the ring, as either side or an onlooker sees it. */
export function ringCount(ring: u32): u32 {
  return atomic.load<u32>(ring, RING_PRODUCED) - atomic.load<u32>(ring, RING_CONSUMED)
}
