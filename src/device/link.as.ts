import { countOf, pullBundle, pushBundle } from '../engine/ring.inline.as'
import { countMoved } from '../engine/traffic.inline.as'
import { TRAFFIC_RECEIVED_PACKETS, TRAFFIC_SENT_PACKETS } from '../memory/formats'

/** Appends up to `most` packets of the ring to the bundle and counts them; gives how many. */
export function linkReceive(ring: u32, traffic: u32, bundle: u32, most: u32): u32 {
  const moved = pullBundle(ring, bundle, most)
  countMoved(traffic + TRAFFIC_RECEIVED_PACKETS, moved)
  return countOf(moved)
}

/** Puts what fits of the bundle into the ring and counts it; gives how many. */
export function linkSend(ring: u32, traffic: u32, bundle: u32): u32 {
  const moved = pushBundle(ring, bundle)
  countMoved(traffic + TRAFFIC_SENT_PACKETS, moved)
  return countOf(moved)
}
