import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  CACHE_COUNT,
  CACHE_ENTRIES,
  CACHE_FRAME_MASK,
  CACHE_FRAME_SHIFT,
  CACHE_FRAMES,
  CACHE_FRAMES_BYTES,
  CACHE_HOLDERS,
  CACHE_MISSING,
  CACHE_SHARED,
  CACHE_STACK,
  CACHE_STAGGER,
  CACHE_WORKER,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  FAULT_USE_AFTER_FREE,
  HEADROOM_BYTES,
  MOST_IN_BUNDLE,
  OWNER_NOBODY,
  SHARED_COUNT,
  SHARED_LOCK,
  SHARED_STACK,
  STAGGER_LINE_SHIFT,
  STAGGER_PAGE_SHIFT,
} from './formats'
import {
  CHECKED,
  cacheOf,
  disown,
  drain,
  fault,
  foreign,
  lock,
  own,
  ownerAt,
  poison,
  refill,
  release,
  spill,
} from './pool.inline.as'

/**
 * Appends up to `count` empty frames to the bundle, as descriptors without
 * bytes; gives how many. What was missing is counted.
 */
export function poolTake(cache: u32, bundle: u32, count: u32): u32 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const wanted: u32 = min<u32>(count, MOST_IN_BUNDLE - held)
  const stagger = load<u32>(cache, CACHE_STAGGER)
  const stack = load<u32>(cache, CACHE_STACK)
  let free = load<u32>(cache, CACHE_COUNT)
  if (free < wanted) {
    refill(cache)
    free = load<u32>(cache, CACHE_COUNT)
  }
  const taken: u32 = min<u32>(wanted, free)
  let descriptor = bundle + BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES
  for (let at = stack + (free << 2), end = at - (taken << 2); at > end; descriptor += DESCRIPTOR_BYTES) {
    at -= 4
    const frame = load<u32>(at)
    if (CHECKED) own(cache, frame)
    const packet = frame + HEADROOM_BYTES + (((frame >> STAGGER_PAGE_SHIFT) & stagger) << STAGGER_LINE_SHIFT)
    v128.store(descriptor, i32x4.replace_lane(i32x4(0, 0, 0, 0), 0, packet))
  }
  store<u32>(cache, free - taken, CACHE_COUNT)
  store<u32>(bundle, held + taken, BUNDLE_COUNT)
  if (taken < wanted) store<f64>(cache, load<f64>(cache, CACHE_MISSING) + <f64>(wanted - taken), CACHE_MISSING)
  return taken
}

/**
 * Gives the frames of `count` descriptors back to the pool. What a cache says of
 * its class is read once for each run of frames of one class.
 */
export function poolGive(pool: u32, descriptors: u32, count: u32): void {
  const end = descriptors + count * DESCRIPTOR_BYTES
  for (let at = descriptors; at < end; ) {
    const address = load<u32>(at, DESCRIPTOR_ADDRESS)
    const cache = cacheOf(pool, address)
    if (cache === 0) {
      foreign(pool, address)
      at += DESCRIPTOR_BYTES
    } else at = giveRun(cache, at, end)
  }
}

/**
 * Gives frames of one class back, up to the first of another; the address of
 * its descriptor. Where the worker is ended in between, frames above the count
 * are still those that it holds.
 */
function giveRun(cache: u32, descriptors: u32, end: u32): u32 {
  const frames = load<u32>(cache, CACHE_FRAMES)
  const bytes = load<u32>(cache, CACHE_FRAMES_BYTES)
  const mask = load<u32>(cache, CACHE_FRAME_MASK)
  const stack = load<u32>(cache, CACHE_STACK)
  let held = load<u32>(cache, CACHE_COUNT)
  let at = descriptors
  for (; at < end; at += DESCRIPTOR_BYTES) {
    const address = load<u32>(at, DESCRIPTOR_ADDRESS)
    if (address - frames >= bytes) break
    if (CHECKED && !disown(cache, address & mask)) continue
    if (held === CACHE_ENTRIES) {
      spill(cache)
      held = load<u32>(cache, CACHE_COUNT)
    }
    store<u32>(stack + (held << 2), address & mask)
    held++
  }
  store<u32>(cache, held, CACHE_COUNT)
  return at
}

/** Gives one frame back, by any address in it. */
export function poolGiveFrame(pool: u32, address: u32): void {
  release(pool, address)
}

/** Moves everything a worker's cache holds to the shared pool, as when the worker ends. */
export function poolDrain(cache: u32): void {
  drain(cache)
}

/**
 * Takes a frame from a worker that has ended, and puts it into the shared pool;
 * `cache` is of its class, and of whoever clears up.
 */
export function poolReclaim(cache: u32, frame: u32): void {
  if (CHECKED) {
    store<u8>(ownerAt(cache, frame), OWNER_NOBODY)
    poison(cache, frame)
  }
  holdFrame(cache, frame, 0)
  const shared = load<u32>(cache, CACHE_SHARED)
  lock(shared, load<u32>(cache, CACHE_WORKER))
  const count = load<u32>(shared, SHARED_COUNT)
  store<u32>(load<u32>(shared, SHARED_STACK) + (count << 2), frame)
  store<u32>(shared, count + 1, SHARED_COUNT)
  atomic.store<u32>(shared, 0, SHARED_LOCK)
}

/** Notes that `kernel`, the caches in the kernel's name, holds the frame that the address lies in. */
export function poolHold(kernel: u32, address: u32): void {
  const cache = cacheOf(kernel, address)
  if (cache === 0) foreign(kernel, address)
  else holdFrame(cache, address, load<u32>(cache, CACHE_WORKER))
}

/** The kernel has let go of such a frame: it is free. */
export function poolLetGo(kernel: u32, address: u32): void {
  const cache = cacheOf(kernel, address)
  if (cache !== 0) poolReclaim(cache, address & load<u32>(cache, CACHE_FRAME_MASK))
}

function holdFrame(cache: u32, address: u32, worker: u32): void {
  const index = (address - load<u32>(cache, CACHE_FRAMES)) >> load<u32>(cache, CACHE_FRAME_SHIFT)
  store<u8>(load<u32>(cache, CACHE_HOLDERS) + index, <u8>worker)
}

/** In the checked build: counts each frame of the bundle that is free as used after it was freed, and notes its owner. */
export function poolCheck(pool: u32, bundle: u32, owner: u32): void {
  if (!CHECKED) return
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const address = load<u32>(at, DESCRIPTOR_ADDRESS)
    const cache = cacheOf(pool, address)
    if (cache === 0) {
      foreign(pool, address)
      continue
    }
    const frame = address & load<u32>(cache, CACHE_FRAME_MASK)
    const byte = ownerAt(cache, frame)
    if (load<u8>(byte) === OWNER_NOBODY) fault(cache, FAULT_USE_AFTER_FREE, frame)
    else store<u8>(byte, <u8>owner)
  }
}
