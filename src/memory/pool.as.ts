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

const FOUR_FRAMES: u32 = 16
const FOUR_DESCRIPTORS: u32 = 64

/**
 * Appends up to `count` empty frames to the bundle, as descriptors without
 * bytes; gives how many. What was missing is counted.
 */
export function poolTake(cache: u32, bundle: u32, count: u32): u32 {
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const wanted: u32 = min<u32>(count, MOST_IN_BUNDLE - held)
  let free = load<u32>(cache, CACHE_COUNT)
  if (free < wanted) {
    refill(cache)
    free = load<u32>(cache, CACHE_COUNT)
  }
  const taken: u32 = min<u32>(wanted, free)
  describe(
    cache,
    load<u32>(cache, CACHE_STACK) + (free << 2),
    taken,
    bundle + BUNDLE_DESCRIPTORS + held * DESCRIPTOR_BYTES,
  )
  store<u32>(cache, free - taken, CACHE_COUNT)
  store<u32>(bundle, held + taken, BUNDLE_COUNT)
  if (taken < wanted) store<f64>(cache, load<f64>(cache, CACHE_MISSING) + <f64>(wanted - taken), CACHE_MISSING)
  return taken
}

/**
 * Writes descriptors of the `count` frames below `top`, the uppermost first.
 * Four at once, here and in `giveRun`, take two thirds of the time of one after
 * the other (docs/lab/engine.md).
 */
function describe(cache: u32, top: u32, count: u32, descriptors: u32): void {
  const stagger = load<u32>(cache, CACHE_STAGGER)
  const end = top - (count << 2)
  let at = top
  let descriptor = descriptors
  if (!CHECKED) {
    const staggers = i32x4.splat(stagger)
    for (; at - end >= FOUR_FRAMES; descriptor += FOUR_DESCRIPTORS) {
      at -= FOUR_FRAMES
      describeFour(descriptor, v128.load(at), staggers)
    }
  }
  for (; at > end; descriptor += DESCRIPTOR_BYTES) {
    at -= 4
    const frame = load<u32>(at)
    if (CHECKED) own(cache, frame)
    const packet = frame + HEADROOM_BYTES + (((frame >> STAGGER_PAGE_SHIFT) & stagger) << STAGGER_LINE_SHIFT)
    v128.store(descriptor, i32x4.replace_lane(i32x4(0, 0, 0, 0), 0, packet))
  }
}

function describeFour(descriptor: u32, frames: v128, staggers: v128): void {
  const lines = v128.and(i32x4.shr_u(frames, STAGGER_PAGE_SHIFT), staggers)
  const starts = i32x4.add(frames, i32x4.splat(HEADROOM_BYTES))
  const packets = i32x4.add(starts, i32x4.shl(lines, STAGGER_LINE_SHIFT))
  const lower = i64x2.extend_low_i32x4_u(packets)
  const upper = i64x2.extend_high_i32x4_u(packets)
  const none = i64x2(0, 0)
  v128.store(descriptor, v128.shuffle<u64>(upper, none, 1, 2))
  v128.store(descriptor, v128.and(upper, i64x2(-1, 0)), DESCRIPTOR_BYTES)
  v128.store(descriptor, v128.shuffle<u64>(lower, none, 1, 2), 2 * DESCRIPTOR_BYTES)
  v128.store(descriptor, v128.and(lower, i64x2(-1, 0)), 3 * DESCRIPTOR_BYTES)
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
 * Gives frames of one class back, the first of them in any case, up to one of
 * another class or until the cache is full; the address of the next descriptor.
 * Where the worker is ended in between, frames above the count are still those
 * that it holds.
 */
function giveRun(cache: u32, descriptors: u32, end: u32): u32 {
  if (load<u32>(cache, CACHE_COUNT) === CACHE_ENTRIES) spill(cache)
  const frames = load<u32>(cache, CACHE_FRAMES)
  const bytes = load<u32>(cache, CACHE_FRAMES_BYTES)
  const mask = load<u32>(cache, CACHE_FRAME_MASK)
  const stack = load<u32>(cache, CACHE_STACK)
  const held = load<u32>(cache, CACHE_COUNT)
  const stop: u32 = min<u32>(end, descriptors + (CACHE_ENTRIES - held) * DESCRIPTOR_BYTES)
  let at = descriptors
  let top = stack + (held << 2)
  if (!CHECKED) {
    const first = i32x4.splat(frames)
    const last = i32x4.splat(bytes - 1)
    const masks = i32x4.splat(mask)
    for (; stop - at >= FOUR_DESCRIPTORS; at += FOUR_DESCRIPTORS, top += FOUR_FRAMES) {
      const addresses = fourAddresses(at)
      const within = i32x4.sub(addresses, first)
      if (v128.any_true(v128.xor(within, i32x4.min_u(within, last)))) break
      v128.store(top, v128.and(addresses, masks))
    }
  }
  for (; at < stop; at += DESCRIPTOR_BYTES) {
    const address = load<u32>(at, DESCRIPTOR_ADDRESS)
    if (address - frames >= bytes) break
    if (CHECKED && !disown(cache, address & mask)) continue
    store<u32>(top, address & mask)
    top += 4
  }
  store<u32>(cache, (top - stack) >> 2, CACHE_COUNT)
  return at
}

/** Of four descriptors; each is loaded by itself, because a load of more than was stored at once waits for the stores. */
function fourAddresses(descriptors: u32): v128 {
  let addresses = v128.load32_zero(descriptors, DESCRIPTOR_ADDRESS)
  addresses = v128.load_lane<u32>(descriptors, addresses, 1, DESCRIPTOR_ADDRESS + DESCRIPTOR_BYTES)
  addresses = v128.load_lane<u32>(descriptors, addresses, 2, DESCRIPTOR_ADDRESS + 2 * DESCRIPTOR_BYTES)
  return v128.load_lane<u32>(descriptors, addresses, 3, DESCRIPTOR_ADDRESS + 3 * DESCRIPTOR_BYTES)
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

/** Notes that `kernel`, the caches in the kernel's name, holds the frame that the address lies in, for a socket of the worker's. */
export function poolHold(kernel: u32, address: u32, worker: u32): void {
  const cache = cacheOf(kernel, address)
  if (cache === 0) foreign(kernel, address)
  else holdFrame(cache, address, load<u32>(cache, CACHE_WORKER) | worker)
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
