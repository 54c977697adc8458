import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  TRAFFIC_COPIED_PACKETS,
  TRAFFIC_SENT_BYTES,
  TRAFFIC_SENT_PACKETS,
} from '../memory/formats'
import { poolGive } from '../memory/pool.as'
import { writeHeaders } from './virtio.inline.as'

/** Before packets are copied into the kernel: writes the virtio-net header of each before it, over its metadata. */
export function settleHeaders(bundle: u32): void {
  writeHeaders(bundle)
}

/** The first `count` packets of the bundle have been copied into the kernel: counts them and gives their frames back. */
export function settleSent(pool: u32, traffic: u32, bundle: u32, count: u32): void {
  if (count === 0) return
  const first = bundle + BUNDLE_DESCRIPTORS
  let bytes: u32 = 0
  for (let at = first, end = first + count * DESCRIPTOR_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    bytes += load<u32>(at, DESCRIPTOR_CAPTURED)
  }
  store<f64>(traffic, load<f64>(traffic, TRAFFIC_SENT_PACKETS) + <f64>count, TRAFFIC_SENT_PACKETS)
  store<f64>(traffic, load<f64>(traffic, TRAFFIC_SENT_BYTES) + <f64>bytes, TRAFFIC_SENT_BYTES)
  store<f64>(traffic, load<f64>(traffic, TRAFFIC_COPIED_PACKETS) + <f64>count, TRAFFIC_COPIED_PACKETS)
  settle(pool, bundle, count)
}

/** The first `count` packets of the bundle are lost for the reason that is counted at `drops`. */
export function settleDropped(pool: u32, drops: u32, bundle: u32, count: u32): void {
  store<f64>(drops, load<f64>(drops) + <f64>count)
  settle(pool, bundle, count)
}

/** Gives the first frames back and moves the others to the front. */
function settle(pool: u32, bundle: u32, count: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const left = load<u32>(bundle, BUNDLE_COUNT) - count
  poolGive(pool, first, count)
  memory.copy(first, first + count * DESCRIPTOR_BYTES, left * DESCRIPTOR_BYTES)
  store<u32>(bundle, left, BUNDLE_COUNT)
}
