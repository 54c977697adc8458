import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES, MOST_IN_BUNDLE } from '../memory/formats'
import { holdDescriptors } from '../memory/pool.inline.as'
import { atomicExchange, atomicLoad, atomicStore } from './atomic.inline.as'
import { SHARED_MASK, SHARED_RESERVED, SHARED_TAKEN, SIDE_SLEEPS } from './formats'
import { SHARED_GATE } from './shared-layout.inline.as'
import { dropFront, readSlots, writeSlots } from './slots.inline.as'

/*
 * The same queue as one would write it with a lock, as the root lock of the
 * kernel's queueing disciplines: taken to put in and taken to take out, for a
 * bundle as for a packet. Indices need no atomic then, and slots no marks.
 */

/** How often the lock is looked at before its holder is taken to have lost its core. */
const SPINS: u32 = 200
const SLEEP_NS: i64 = 50_000

/** As `sharedPush`. */
export function lockedPush(queue: u32, side: u32, bundle: u32): u32 {
  const count = load<u32>(bundle, BUNDLE_COUNT)
  acquire(queue, side)
  const reserved = load<u64>(queue, SHARED_RESERVED)
  const free = load<u32>(queue, SHARED_MASK) + 1 - <u32>(reserved - load<u64>(queue, SHARED_TAKEN))
  const pushed: u32 = min<u32>(count, free)
  if (pushed > 0) writeSlots(queue, reserved, bundle + <u32>BUNDLE_DESCRIPTORS, pushed)
  store<u64>(queue, reserved + pushed, SHARED_RESERVED)
  atomicStore(side, queue + <u32>SHARED_GATE, 0)
  if (pushed > 0) dropFront(bundle, pushed)
  return pushed
}

/** As `sharedPull`. */
export function lockedPull(queue: u32, side: u32, pool: u32, bundle: u32, most: u32): u32 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const room: u32 = min<u32>(most, MOST_IN_BUNDLE - held)
  const first = bundle + <u32>BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES
  acquire(queue, side)
  const consumed = load<u64>(queue, SHARED_TAKEN)
  const pulled: u32 = min<u32>(room, <u32>(load<u64>(queue, SHARED_RESERVED) - consumed))
  if (pulled > 0) readSlots(queue, consumed, first, pulled)
  store<u64>(queue, consumed + pulled, SHARED_TAKEN)
  atomicStore(side, queue + <u32>SHARED_GATE, 0)
  if (pool !== 0) holdDescriptors(pool, first, pulled)
  store<u32>(bundle, held + pulled, BUNDLE_COUNT)
  return pulled
}

/** As `sharedReady`: it takes the lock to look. */
export function lockedReady(queue: u32, side: u32): u32 {
  acquire(queue, side)
  const count = <u32>(load<u64>(queue, SHARED_RESERVED) - load<u64>(queue, SHARED_TAKEN))
  atomicStore(side, queue + <u32>SHARED_GATE, 0)
  return count
}

/** Takes the lock. Who has looked in vain for long lets its holder have the core, and looks again. */
function acquire(queue: u32, side: u32): void {
  const gate = queue + <u32>SHARED_GATE
  while (atomicExchange(side, gate, 0, 1) !== 0) {
    let spins: u32 = 0
    while (spins < SPINS && atomicLoad(side, gate) !== 0) spins++
    if (spins < SPINS) continue
    store<f64>(side, load<f64>(side, SIDE_SLEEPS) + 1, SIDE_SLEEPS)
    atomic.wait<i64>(gate, 1, SLEEP_NS)
  }
}
