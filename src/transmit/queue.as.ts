import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_WIRE,
} from '../memory/formats'
import { release } from '../memory/pool.inline.as'
import { limitDone, limitGiven, limitRoom } from './byte-limit.inline.as'
import { put, take } from './discipline.inline.as'
import { countDrop, DROP_FULL, ENTRY_SINCE, forget, giveEntry, lengthOf, takeEntry } from './entries.inline.as'
import {
  ENTRY_BYTES,
  QUEUE_BYTES,
  QUEUE_DUE,
  QUEUE_FLIGHT,
  QUEUE_FLIGHT_MASK,
  QUEUE_LIMIT,
  QUEUE_PACKETS,
  QUEUE_POOL,
  QUEUE_ROOT,
} from './formats'

/** Further words: where the lengths of packets that the device has begin and end. */
const FLIGHT_FIRST: usize = 48
const FLIGHT_END: usize = 52

/** Makes `count` entries at `entries` a list of those that hold no packet. */
export function queueOpen(queue: u32, entries: u32, count: u32): void {
  for (let index = count; index > 0; index--) giveEntry(queue, entries + (index - 1) * ENTRY_BYTES)
}

/** Gives back the frames of all packets that wait. */
export function queueClose(queue: u32, entries: u32, count: u32): void {
  for (let entry = entries, end = entries + count * ENTRY_BYTES; entry < end; entry += ENTRY_BYTES) {
    const address = load<u32>(entry, DESCRIPTOR_ADDRESS)
    if (address !== 0) release(load<u32>(queue, QUEUE_POOL), address)
  }
}

/** Puts all packets of the bundle into the discipline, which drops what it has no room for. */
export function queueTake(queue: u32, bundle: u32, now: f64): void {
  const first = bundle + <u32>BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  const root = load<u32>(queue, QUEUE_ROOT)
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const entry = takeEntry(queue)
    if (entry === 0) {
      release(load<u32>(queue, QUEUE_POOL), load<u32>(at, DESCRIPTOR_ADDRESS))
      countDrop(queue, DROP_FULL)
      continue
    }
    v128.store(entry, v128.load(at))
    store<f64>(entry, now, ENTRY_SINCE)
    store<u32>(queue, load<u32>(queue, QUEUE_PACKETS) + 1, QUEUE_PACKETS)
    store<u32>(queue, load<u32>(queue, QUEUE_BYTES) + lengthOf(entry), QUEUE_BYTES)
    put(queue, root, entry)
  }
  store<u32>(bundle, 0, BUNDLE_COUNT)
}

/**
 * Lets packets out into the bundle, up to `most` in it, as far as the discipline
 * and the byte limit do; gives how many it has then. QUEUE_DUE is when the
 * discipline lets out the next, 0 where it does not hold back.
 */
export function queueRun(queue: u32, bundle: u32, most: u32, now: f64): u32 {
  let held = load<u32>(bundle, BUNDLE_COUNT)
  let room = limitRoom(queue + <u32>QUEUE_LIMIT) - <i32>bytesOf(bundle)
  const root = load<u32>(queue, QUEUE_ROOT)
  const end: u32 = min<u32>(most, placesLeft(queue))
  store<f64>(queue, 0, QUEUE_DUE)
  while (held < end && room >= 0) {
    const entry = take(queue, root, now)
    if (entry === 0) break
    room -= <i32>lengthOf(entry)
    v128.store(bundle + <u32>BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES, v128.load(entry))
    held++
    forget(queue, entry)
  }
  store<u32>(bundle, held, BUNDLE_COUNT)
  return held
}

/** How many packets of the bundle the byte limit lets go now. */
export function queueAllowed(queue: u32, bundle: u32): u32 {
  let room = limitRoom(queue + <u32>QUEUE_LIMIT)
  const count: u32 = min<u32>(load<u32>(bundle, BUNDLE_COUNT), placesLeft(queue))
  let allowed: u32 = 0
  for (; allowed < count && room >= 0; allowed++) {
    room -= load<u32>(bundle + <u32>BUNDLE_DESCRIPTORS + allowed * DESCRIPTOR_BYTES, DESCRIPTOR_WIRE)
  }
  return allowed
}

/** Notes the lengths of the bundle's packets, which are offered to the device; as many as there is a place for. */
export function queueOffer(queue: u32, bundle: u32): void {
  const first = bundle + <u32>BUNDLE_DESCRIPTORS
  const count = load<u32>(bundle, BUNDLE_COUNT)
  const end = load<u32>(queue, FLIGHT_END)
  for (let index: u32 = 0; index < count; index++) {
    store<u32>(flightAt(queue, end + index), load<u32>(first + index * DESCRIPTOR_BYTES, DESCRIPTOR_WIRE))
  }
}

/** The device has taken the first `count` packets of those that were offered last. */
export function queueGiven(queue: u32, count: u32): void {
  const end = load<u32>(queue, FLIGHT_END)
  for (let index: u32 = 0; index < count; index++) {
    limitGiven(queue + <u32>QUEUE_LIMIT, load<u32>(flightAt(queue, end + index)))
  }
  store<u32>(queue, end + count, FLIGHT_END)
}

/** The device has `pending` packets that it has not finished with. */
export function queueDone(queue: u32, pending: u32, now: f64): void {
  const first = load<u32>(queue, FLIGHT_FIRST)
  const flying = load<u32>(queue, FLIGHT_END) - first
  if (flying <= pending) return
  const count = flying - pending
  let bytes: u32 = 0
  for (let index: u32 = 0; index < count; index++) bytes += load<u32>(flightAt(queue, first + index))
  store<u32>(queue, first + count, FLIGHT_FIRST)
  limitDone(queue + <u32>QUEUE_LIMIT, bytes, now)
}

/** For how many lengths of packets that the device has there is a place. */
function placesLeft(queue: u32): u32 {
  return load<u32>(queue, QUEUE_FLIGHT_MASK) + 1 - (load<u32>(queue, FLIGHT_END) - load<u32>(queue, FLIGHT_FIRST))
}

function flightAt(queue: u32, index: u32): u32 {
  return load<u32>(queue, QUEUE_FLIGHT) + ((index & load<u32>(queue, QUEUE_FLIGHT_MASK)) << 2)
}

function bytesOf(bundle: u32): u32 {
  const first = bundle + <u32>BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let sum: u32 = 0
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) sum += load<u32>(at, DESCRIPTOR_WIRE)
  return sum
}
