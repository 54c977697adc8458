import { ringPull, ringPush } from '../engine/ring.as'
import { add, wireBytes } from '../engine/traffic.inline.as'
import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  TRAFFIC_RECEIVED_BYTES,
  TRAFFIC_RECEIVED_PACKETS,
  TRAFFIC_SENT_BYTES,
  TRAFFIC_SENT_PACKETS,
} from '../memory/formats'

/** Appends up to `most` packets of the ring to the bundle and counts them; gives how many. */
export function linkReceive(ring: u32, traffic: u32, bundle: u32, most: u32): u32 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const count = ringPull(ring, bundle, most)
  if (count === 0) return 0
  const first = bundle + BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES
  add(traffic + TRAFFIC_RECEIVED_PACKETS, count)
  add(traffic + TRAFFIC_RECEIVED_BYTES, wireBytes(first, count))
  return count
}

/** Puts what fits of the bundle into the ring and counts it; gives how many. */
export function linkSend(ring: u32, traffic: u32, bundle: u32): u32 {
  const before = wireBytes(bundle + BUNDLE_DESCRIPTORS, load<u32>(bundle, BUNDLE_COUNT))
  const count = ringPush(ring, bundle)
  if (count === 0) return 0
  const left = wireBytes(bundle + BUNDLE_DESCRIPTORS, load<u32>(bundle, BUNDLE_COUNT))
  add(traffic + TRAFFIC_SENT_PACKETS, count)
  add(traffic + TRAFFIC_SENT_BYTES, before - left)
  return count
}
