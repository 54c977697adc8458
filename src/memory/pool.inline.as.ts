import {
  CACHE_BULK,
  CACHE_BYTES,
  CACHE_COUNT,
  CACHE_ENTRIES,
  CACHE_FAULTS,
  CACHE_FRAME_MASK,
  CACHE_FRAME_SHIFT,
  CACHE_FRAMES,
  CACHE_FRAMES_BYTES,
  CACHE_HOLDERS,
  CACHE_OWNERS,
  CACHE_SHARED,
  CACHE_STACK,
  CACHE_WORKER,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  FAULT_DOUBLE_FREE,
  FAULT_FOREIGN,
  FAULT_FRAME,
  FAULT_WRITE_AFTER_FREE,
  FRAME_CLASSES,
  OWNER_NOBODY,
  OWNER_UNKNOWN,
  SHARED_COUNT,
  SHARED_LOCK,
  SHARED_STACK,
} from './formats'

/** The build that checks who owns a frame; the other one has no trace of it. */
export const CHECKED: bool = !ASC_NO_ASSERT

const POISON: u8 = 0xdb
const POISON_HALF: u64 = 0xdbdbdbdb
const POISON_WORD: u64 = (POISON_HALF << 32) | POISON_HALF

/** The cache of the class that the address lies in, or 0 where it lies in no frame. */
export function cacheOf(pool: u32, address: u32): u32 {
  for (let cache = pool; cache < pool + FRAME_CLASSES * CACHE_BYTES; cache += CACHE_BYTES) {
    if (isIn(cache, address)) return cache
  }
  return 0
}

export function isIn(cache: u32, address: u32): bool {
  return address - load<u32>(cache, CACHE_FRAMES) < load<u32>(cache, CACHE_FRAMES_BYTES)
}

/** Gives the frame that `address` lies in back to the cache of its class. */
export function release(pool: u32, address: u32): void {
  const cache = cacheOf(pool, address)
  if (cache === 0) foreign(pool, address)
  else releaseTo(cache, address)
}

/** As `release`, where the class is known. */
export function releaseTo(cache: u32, address: u32): void {
  const frame = address & load<u32>(cache, CACHE_FRAME_MASK)
  if (CHECKED && !disown(cache, frame)) return
  if (load<u32>(cache, CACHE_COUNT) === CACHE_ENTRIES) spill(cache)
  const count = load<u32>(cache, CACHE_COUNT)
  store<u32>(load<u32>(cache, CACHE_STACK) + (count << 2), frame)
  store<u32>(cache, count + 1, CACHE_COUNT)
}

export function foreign(pool: u32, address: u32): void {
  const faults = load<u32>(pool, CACHE_FAULTS)
  atomic.add<u32>(faults, 1, FAULT_FOREIGN)
  store<u32>(faults, address, FAULT_FRAME)
}

/*
 * A worker can be ended anywhere, and its frames must be found: those whose
 * holder it is, and those in its caches. So a frame has holder 0 before it gets
 * into the shared pool and a new one after it has left. V8 ends a thread only
 * where a function begins and where a loop goes round; between lock and unlock
 * there is neither, and the order of the stores is right at any place.
 */

/** Moves the older half of a full cache to the shared pool: what was used last stays in the core's cache. */
export function spill(cache: u32): void {
  const stack = load<u32>(cache, CACHE_STACK)
  const shared = load<u32>(cache, CACHE_SHARED)
  hold(cache, stack, CACHE_BULK, 0)
  lock(shared, load<u32>(cache, CACHE_WORKER))
  const count = load<u32>(shared, SHARED_COUNT)
  memory.copy(load<u32>(shared, SHARED_STACK) + (count << 2), stack, CACHE_BULK << 2)
  store<u32>(shared, count + CACHE_BULK, SHARED_COUNT)
  memory.copy(stack, stack + (CACHE_BULK << 2), (CACHE_ENTRIES - CACHE_BULK) << 2)
  store<u32>(cache, CACHE_ENTRIES - CACHE_BULK, CACHE_COUNT)
  atomic.store<u32>(shared, 0, SHARED_LOCK)
}

/** Moves everything a cache holds to the shared pool. */
export function drain(cache: u32): void {
  const stack = load<u32>(cache, CACHE_STACK)
  const shared = load<u32>(cache, CACHE_SHARED)
  const held = load<u32>(cache, CACHE_COUNT)
  hold(cache, stack, held, 0)
  lock(shared, load<u32>(cache, CACHE_WORKER))
  const count = load<u32>(shared, SHARED_COUNT)
  memory.copy(load<u32>(shared, SHARED_STACK) + (count << 2), stack, held << 2)
  store<u32>(shared, count + held, SHARED_COUNT)
  store<u32>(cache, 0, CACHE_COUNT)
  atomic.store<u32>(shared, 0, SHARED_LOCK)
}

/** Takes up to a bulk from the shared pool into a cache that has room for it. */
export function refill(cache: u32): void {
  const shared = load<u32>(cache, CACHE_SHARED)
  const worker = load<u32>(cache, CACHE_WORKER)
  const held = load<u32>(cache, CACHE_COUNT)
  const to = load<u32>(cache, CACHE_STACK) + (held << 2)
  lock(shared, worker)
  const count = load<u32>(shared, SHARED_COUNT)
  const moved: u32 = min<u32>(count, CACHE_BULK)
  memory.copy(to, load<u32>(shared, SHARED_STACK) + ((count - moved) << 2), moved << 2)
  store<u32>(shared, count - moved, SHARED_COUNT)
  store<u32>(cache, held + moved, CACHE_COUNT)
  atomic.store<u32>(shared, 0, SHARED_LOCK)
  hold(cache, to, moved, worker)
}

/** Notes who holds the `count` frames of which the addresses stand at `from`. */
function hold(cache: u32, from: u32, count: u32, worker: u32): void {
  const first = load<u32>(cache, CACHE_FRAMES)
  const shift = load<u32>(cache, CACHE_FRAME_SHIFT)
  const holders = load<u32>(cache, CACHE_HOLDERS)
  for (let at = from, end = from + (count << 2); at < end; at += 4) {
    store<u8>(holders + ((load<u32>(at) - first) >> shift), <u8>worker)
  }
}

/** Notes that the worker of `pool` holds the frames of `count` descriptors, which another one has held so far. */
export function holdDescriptors(pool: u32, descriptors: u32, count: u32): void {
  let cache = pool
  for (let at = descriptors, end = at + count * DESCRIPTOR_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    const address = load<u32>(at, DESCRIPTOR_ADDRESS)
    if (!isIn(cache, address)) {
      const other = cacheOf(pool, address)
      if (other === 0) continue
      cache = other
    }
    const index = (address - load<u32>(cache, CACHE_FRAMES)) >> load<u32>(cache, CACHE_FRAME_SHIFT)
    store<u8>(load<u32>(cache, CACHE_HOLDERS) + index, <u8>load<u32>(cache, CACHE_WORKER))
  }
}

export function lock(shared: u32, worker: u32): void {
  while (atomic.cmpxchg<u32>(shared, 0, worker, SHARED_LOCK) !== 0) {}
}

export function ownerAt(cache: u32, frame: u32): u32 {
  return (
    load<u32>(cache, CACHE_OWNERS) + ((frame - load<u32>(cache, CACHE_FRAMES)) >> load<u32>(cache, CACHE_FRAME_SHIFT))
  )
}

export function fault(cache: u32, kind: u32, frame: u32): void {
  const faults = load<u32>(cache, CACHE_FAULTS)
  atomic.add<u32>(faults + kind, 1)
  store<u32>(faults, frame, FAULT_FRAME)
}

/** Marks a frame as free and poisons it; false where it was free already. */
export function disown(cache: u32, frame: u32): bool {
  if (atomic.xchg<u8>(ownerAt(cache, frame), OWNER_NOBODY) === OWNER_NOBODY) {
    fault(cache, FAULT_DOUBLE_FREE, frame)
    return false
  }
  poison(cache, frame)
  return true
}

/** Fills a free frame, so that it shows who writes into it. */
export function poison(cache: u32, frame: u32): void {
  memory.fill(frame, POISON, 1 << load<u32>(cache, CACHE_FRAME_SHIFT))
}

/** Marks a frame as owned; counts a fault where somebody has written into it while it was free. */
export function own(cache: u32, frame: u32): void {
  store<u8>(ownerAt(cache, frame), OWNER_UNKNOWN)
  const end = frame + (1 << load<u32>(cache, CACHE_FRAME_SHIFT))
  for (let at = frame; at < end; at += 8) {
    if (load<u64>(at) !== POISON_WORD) {
      fault(cache, FAULT_WRITE_AFTER_FREE, frame)
      return
    }
  }
}
