import { copy } from '../engine/ring.inline.as'
import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  FLAG_CHECKSUM_MISSING,
  FLAGS_SEGMENT_SHIFT,
  METADATA_BYTES,
  METADATA_VALID,
  MOST_IN_BUNDLE,
  TRAFFIC_COPIED_PACKETS,
  TRAFFIC_DROPS,
  TRAFFIC_RECEIVED_BYTES,
  TRAFFIC_RECEIVED_PACKETS,
  TRAFFIC_SENT_BYTES,
  TRAFFIC_SENT_PACKETS,
} from '../memory/formats'
import { poolTake } from '../memory/pool.as'
import { cacheOf, foreign, isIn, release, releaseTo } from '../memory/pool.inline.as'
import {
  GIVEN_TO_RECEIVE,
  GIVEN_TO_SEND,
  XDP_BACK,
  XDP_COMPLETION,
  XDP_COPIES,
  XDP_FILL,
  XDP_FRAME_BYTES,
  XDP_FRESH,
  XDP_GIVEN,
  XDP_OWED,
  XDP_PLACE_MASK,
  XDP_PLACE_OFFSET,
  XDP_POOL,
  XDP_RECEIVE,
  XDP_RING_CONSUMER,
  XDP_RING_ENTRIES,
  XDP_RING_INDEX,
  XDP_RING_MASK,
  XDP_RING_PRODUCER,
  XDP_RING_SEEN,
  XDP_SEND_BYTES,
  XDP_SEND_MASK,
  XDP_TRAFFIC,
  XDP_TRANSMIT,
  XDP_UNDER_WAY,
  XDP_UNIT_SHIFT,
} from './xdp-formats'

const ETHERNET_BYTES: u32 = 14

/** Appends up to `most` received packets to the bundle and gives the kernel as many frames; gives how many. */
export function xdpReceive(device: u32, bundle: u32, most: u32): u32 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const count = pullReceived(
    device,
    bundle + BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES,
    min<u32>(most, MOST_IN_BUNDLE - held),
  )
  store<u32>(bundle, held + count, BUNDLE_COUNT)
  if (load<u32>(device, XDP_OWED) > 0) xdpProvide(device)
  return count
}

/**
 * Takes entries of the receive ring as descriptors. The upper half of the
 * kernel's address is 0, or in unaligned mode what has to be added to the
 * lower one, in its own upper half.
 */
function pullReceived(device: u32, to: u32, most: u32): u32 {
  const ring = device + XDP_RECEIVE
  const consumed = load<u32>(ring, XDP_RING_INDEX)
  const count = readable(ring, consumed, most)
  if (count === 0) return 0
  const entries = load<u32>(ring, XDP_RING_ENTRIES)
  const mask = load<u32>(ring, XDP_RING_MASK)
  const given = load<u32>(device, XDP_GIVEN)
  const back = load<u32>(device, XDP_BACK)
  let bytes: u32 = 0
  for (let index: u32 = 0; index < count; index++) {
    const entry = v128.load(entries + ((consumed + index) & mask) * DESCRIPTOR_BYTES)
    const low = i32x4.extract_lane(entry, 0)
    const captured = i32x4.extract_lane(entry, 2)
    const address = low + (i32x4.extract_lane(entry, 1) >>> 16)
    store<u8>(given + (((low + back) & -XDP_FRAME_BYTES) >> XDP_UNIT_SHIFT), 0)
    // Address, bytes on the wire, bytes captured; no flags.
    const first = i32x4.replace_lane(i32x4.splat(captured), 0, address)
    v128.store(to + index * DESCRIPTOR_BYTES, i32x4.replace_lane(first, 3, 0))
    bytes += captured
  }
  publishConsumed(ring, consumed + count)
  add(device, TRAFFIC_RECEIVED_PACKETS, count)
  add(device, TRAFFIC_RECEIVED_BYTES, bytes)
  add(device, TRAFFIC_COPIED_PACKETS, count * load<u32>(device, XDP_COPIES))
  store<u32>(device, load<u32>(device, XDP_OWED) + count, XDP_OWED)
  return count
}

/** Gives the kernel a bundle of frames to receive into, as many as it is owed and the pool has; gives how many. */
export function xdpProvide(device: u32): u32 {
  const fresh = load<u32>(device, XDP_FRESH)
  const owed = load<u32>(device, XDP_OWED)
  store<u32>(fresh, 0, BUNDLE_COUNT)
  // The first cache of a pool is that of frames of XDP_FRAME_BYTES.
  const count = poolTake(load<u32>(device, XDP_POOL), fresh, min<u32>(owed, MOST_IN_BUNDLE))
  if (count === 0) return 0
  const ring = device + XDP_FILL
  const produced = load<u32>(ring, XDP_RING_INDEX)
  const entries = load<u32>(ring, XDP_RING_ENTRIES)
  const mask = load<u32>(ring, XDP_RING_MASK)
  const given = load<u32>(device, XDP_GIVEN)
  const placeMask = load<u32>(device, XDP_PLACE_MASK)
  const placeOffset = load<u32>(device, XDP_PLACE_OFFSET)
  const back = load<u32>(device, XDP_BACK)
  for (let index: u32 = 0; index < count; index++) {
    const address = load<u32>(fresh + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES, DESCRIPTOR_ADDRESS)
    const packet = (address & placeMask) + placeOffset
    store<u8>(packet - METADATA_BYTES, 0, METADATA_VALID)
    store<u8>(given + ((address & -XDP_FRAME_BYTES) >> XDP_UNIT_SHIFT), GIVEN_TO_RECEIVE)
    store<u64>(entries + (((produced + index) & mask) << 3), <u64>(packet - back))
  }
  publishProduced(ring, produced + count)
  store<u32>(device, owed - count, XDP_OWED)
  return count
}

/**
 * Puts what there is room for of the bundle into the transmit ring; the rest
 * stays, moved to the front. What can never be sent is dropped and counted.
 * Gives how many were taken.
 */
export function xdpSend(device: u32, bundle: u32): u32 {
  xdpReap(device)
  const ring = device + XDP_TRANSMIT
  const produced = load<u32>(ring, XDP_RING_INDEX)
  const entries = load<u32>(ring, XDP_RING_ENTRIES)
  const mask = load<u32>(ring, XDP_RING_MASK)
  const room = mask + 1 - load<u32>(device, XDP_UNDER_WAY)
  const given = load<u32>(device, XDP_GIVEN)
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let sent: u32 = 0
  let bytes: u32 = 0
  let at = first
  for (; at < end && sent < room; at += DESCRIPTOR_BYTES) {
    if (refuse(device, at)) continue
    const address = load<u32>(at, DESCRIPTOR_ADDRESS)
    const captured = load<u32>(at, DESCRIPTOR_CAPTURED)
    store<u8>(given + (address >> XDP_UNIT_SHIFT), GIVEN_TO_SEND)
    const entry = i32x4.replace_lane(i32x4(0, 0, 0, 0), 0, address)
    v128.store(entries + ((produced + sent) & mask) * DESCRIPTOR_BYTES, i32x4.replace_lane(entry, 2, captured))
    bytes += captured
    sent++
  }
  const left = (end - at) / DESCRIPTOR_BYTES
  if (at > first) copy(first, at, left)
  store<u32>(bundle, left, BUNDLE_COUNT)
  if (sent === 0) return (at - first) / DESCRIPTOR_BYTES
  publishProduced(ring, produced + sent)
  store<u32>(device, load<u32>(device, XDP_UNDER_WAY) + sent, XDP_UNDER_WAY)
  add(device, TRAFFIC_SENT_PACKETS, sent)
  add(device, TRAFFIC_SENT_BYTES, bytes)
  add(device, TRAFFIC_COPIED_PACKETS, sent * load<u32>(device, XDP_COPIES))
  return (at - first) / DESCRIPTOR_BYTES
}

/** Drops what the kernel would refuse and never give back: true where it did. The reasons are in the order of xdp.ts. */
function refuse(device: u32, descriptor: u32): bool {
  const address = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const captured = load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  const flags = load<u32>(descriptor, DESCRIPTOR_FLAGS)
  const most = load<u32>(device, XDP_SEND_BYTES) - (address & load<u32>(device, XDP_SEND_MASK))
  let reason: u32 = 0
  if (captured < ETHERNET_BYTES) reason = 8
  else if (captured < load<u32>(descriptor, DESCRIPTOR_WIRE)) reason = 16
  else if ((flags & FLAG_CHECKSUM_MISSING) !== 0 || flags >>> FLAGS_SEGMENT_SHIFT !== 0) reason = 16
  else if (captured <= most) return false
  add(device, TRAFFIC_DROPS + reason, 1)
  release(load<u32>(device, XDP_POOL), address)
  return true
}

/** Gives frames that have been sent back to the pool; gives how many. */
export function xdpReap(device: u32): u32 {
  if (load<u32>(device, XDP_UNDER_WAY) === 0) return 0
  const ring = device + XDP_COMPLETION
  const consumed = load<u32>(ring, XDP_RING_INDEX)
  const count = readable(ring, consumed, load<u32>(ring, XDP_RING_MASK) + 1)
  if (count === 0) return 0
  const entries = load<u32>(ring, XDP_RING_ENTRIES)
  const mask = load<u32>(ring, XDP_RING_MASK)
  const given = load<u32>(device, XDP_GIVEN)
  const pool = load<u32>(device, XDP_POOL)
  let cache = pool
  for (let index: u32 = 0; index < count; index++) {
    const address = load<u32>(entries + (((consumed + index) & mask) << 3))
    store<u8>(given + (address >> XDP_UNIT_SHIFT), 0)
    if (!isIn(cache, address)) {
      const other = cacheOf(pool, address)
      if (other === 0) {
        foreign(pool, address)
        continue
      }
      cache = other
    }
    releaseTo(cache, address)
  }
  publishConsumed(ring, consumed + count)
  store<u32>(device, load<u32>(device, XDP_UNDER_WAY) - count, XDP_UNDER_WAY)
  return count
}

/**
 * Before the socket is closed, where the kernel copies: what it has not taken
 * from the transmit ring yet is ours again with the socket's end, as are frames
 * to receive into. It publishes its index when it has taken, before the call returns.
 */
export function xdpTakeBack(device: u32): void {
  const ring = device + XDP_TRANSMIT
  const produced = load<u32>(ring, XDP_RING_INDEX)
  const entries = load<u32>(ring, XDP_RING_ENTRIES)
  const mask = load<u32>(ring, XDP_RING_MASK)
  const given = load<u32>(device, XDP_GIVEN)
  for (let index = atomic.load<u32>(load<u32>(ring, XDP_RING_CONSUMER)); index !== produced; index++) {
    const unit = given + (load<u32>(entries + (index & mask) * DESCRIPTOR_BYTES, DESCRIPTOR_ADDRESS) >> XDP_UNIT_SHIFT)
    if (load<u8>(unit) !== 0) store<u8>(unit, GIVEN_TO_RECEIVE)
  }
}

/**
 * Once the socket is closed: gives frames back to the pool that the kernel had
 * for anything less than `least`; the others stay noted. `units` is the size of GIVEN.
 */
export function xdpReclaim(device: u32, units: u32, least: u32): void {
  const given = load<u32>(device, XDP_GIVEN)
  for (let unit: u32 = 0; unit < units; unit++) {
    const purpose = <u32>load<u8>(given + unit)
    if (purpose === 0 || purpose >= least) continue
    store<u8>(given + unit, 0)
    release(load<u32>(device, XDP_POOL), unit << XDP_UNIT_SHIFT)
  }
}

/** How many of up to `most` entries the kernel has produced; its index is read only where the last look does not suffice. */
function readable(ring: u32, consumed: u32, most: u32): u32 {
  let there = load<u32>(ring, XDP_RING_SEEN) - consumed
  if (there < most) {
    const produced = atomic.load<u32>(load<u32>(ring, XDP_RING_PRODUCER))
    store<u32>(ring, produced, XDP_RING_SEEN)
    there = produced - consumed
  }
  return min<u32>(most, there)
}

function publishConsumed(ring: u32, index: u32): void {
  store<u32>(ring, index, XDP_RING_INDEX)
  atomic.store<u32>(load<u32>(ring, XDP_RING_CONSUMER), index)
}

function publishProduced(ring: u32, index: u32): void {
  store<u32>(ring, index, XDP_RING_INDEX)
  atomic.store<u32>(load<u32>(ring, XDP_RING_PRODUCER), index)
}

function add(device: u32, counter: u32, number: u32): void {
  const at = load<u32>(device, XDP_TRAFFIC) + counter
  store<f64>(at, load<f64>(at) + <f64>number)
}
