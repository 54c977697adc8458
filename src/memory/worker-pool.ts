import type { Code } from './code.js'
import {
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
  CACHE_STAGGER,
  CACHE_WORKER,
  FRAME_CLASSES,
  SHARED_COUNT,
} from './formats.js'
import { CLASSES, type FrameClass, type PooledClass } from './frame-class.js'
import type { Space } from './space.js'

/** A worker's side of the pool as plain numbers, which its thread is sent. */
export interface WorkerPoolPlace {
  /** Address of its caches, which compiled stages take as `pool`. */
  readonly address: number
  /** 1 to MOST_WORKERS: by it a frame tells who holds it. */
  readonly number: number
  /** Frames of all classes that the whole pool has. */
  readonly frames: number
  /** Where the last of them ends: what the kernel is given of the memory, from 0 on. */
  readonly framesEnd: number
  /** Address of the caches in whose name the kernel holds frames. */
  readonly kernel: number
}

/** What a worker takes frames from and gives them to; shared only through bulk exchange. */
export interface WorkerPool extends WorkerPoolPlace {
  /** The classes that it has frames of, smallest first. */
  readonly classes: readonly FrameClass[]
  /** Appends up to `count` empty frames to the bundle at that address; gives how many. */
  take(bundle: number, count: number, frameBytes?: FrameClass): number
  /** Whether `take` would give a frame of that class; cheap enough to spin on. */
  hasFree(frameBytes: FrameClass): boolean
  /** Gives the frames of `count` descriptors at that address back. */
  give(descriptors: number, count: number): void
  /**
   * Frames, by an address in each, that this worker held and that the kernel is
   * not done with. They count as held by the kernel until what this gives is
   * called: then they are free, also where the worker has been closed meanwhile. Where its thread ends before, whoever
   * started that reclaims them (`Pool.reclaim`).
   */
  holdForKernel(addresses: readonly number[]): () => void
  /** Bytes from an address in a frame to the frame's end; 0 for an address in none. */
  room(address: number): number
  /** Everything in its caches goes to the shared pool, and the caches' memory is free. */
  close(): void
}

/** What the pool knows of a worker that it opens a side for. */
interface WorkerPoolRequest {
  readonly classes: readonly PooledClass[]
  readonly faults: number
  readonly name: string
  readonly number: number
  /** Missing where these are the kernel's own. */
  readonly kernel?: number
  closed(): void
}

/** Reserves a worker's caches, all empty. */
export function openWorkerPool(space: Space, code: Code, request: WorkerPoolRequest): WorkerPool {
  const { classes, faults, name, number, closed } = request
  const stackBytes = CACHE_ENTRIES * 4
  const region = space.reserve({
    name: `pool cache ${name}`,
    kind: 'stack',
    bytes: FRAME_CLASSES * (CACHE_BYTES + stackBytes),
  })
  const cacheOf = (index: number) => region.offset + index * CACHE_BYTES
  classes.forEach(({ frameBytes, stagger, frames, shared, owners, holders }, index) => {
    const write = (field: number, value: number) => {
      space.words[(cacheOf(index) + field) / 4] = value
    }
    write(CACHE_STACK, cacheOf(FRAME_CLASSES) + index * stackBytes)
    write(CACHE_FRAMES, frames.offset)
    write(CACHE_FRAMES_BYTES, frames.bytes)
    write(CACHE_FRAME_MASK, -frameBytes)
    write(CACHE_FRAME_SHIFT, Math.log2(frameBytes))
    write(CACHE_STAGGER, stagger)
    write(CACHE_SHARED, shared)
    write(CACHE_OWNERS, owners)
    write(CACHE_FAULTS, faults)
    write(CACHE_HOLDERS, holders)
    write(CACHE_WORKER, number)
  })
  const attached = attachWorkerPool(space, code, {
    address: region.offset,
    number,
    frames: classes.reduce((sum, { count }) => sum + count, 0),
    framesEnd: Math.max(...classes.map(({ frames: { offset, bytes } }) => offset + bytes)),
    kernel: request.kernel ?? region.offset,
  })
  return {
    ...attached,
    close() {
      attached.close()
      space.free(region.name)
      closed()
    },
  }
}

/** A worker's side, in the worker's thread: closing it empties the caches, which stay. */
export function attachWorkerPool({ words }: Space, code: Code, place: WorkerPoolPlace): WorkerPool {
  const { address, kernel } = place
  const [take, give, drain] = [code.find('poolTake'), code.find('poolGive'), code.find('poolDrain')]
  const [hold, letGo] = [code.find('poolHold'), code.find('poolLetGo')]
  const caches = new Map(CLASSES.map(({ frameBytes }, index) => [frameBytes, address + index * CACHE_BYTES]))
  const has = ([, cache]: [FrameClass, number]) => words[(cache + CACHE_FRAMES_BYTES) / 4]! > 0
  const classes = [...caches].filter(has).map(([frameBytes]) => frameBytes)
  return {
    ...place,
    classes: classes.sort((one, other) => one - other),
    take: (bundle, count, frameBytes: FrameClass = 2048) => take(caches.get(frameBytes)!, bundle, count) as number,
    hasFree(frameBytes) {
      const cache = caches.get(frameBytes)!
      return (
        words[(cache + CACHE_COUNT) / 4]! > 0 || words[(words[(cache + CACHE_SHARED) / 4]! + SHARED_COUNT) / 4]! > 0
      )
    },
    give: (descriptors, count) => give(address, descriptors, count),
    holdForKernel(addresses) {
      for (const held of addresses) hold(kernel, held, place.number)
      return () => {
        for (const held of addresses) letGo(kernel, held)
      }
    },
    room(inFrame) {
      for (const [frameBytes, cache] of caches) {
        const first = words[(cache + CACHE_FRAMES) / 4]!
        if (inFrame >= first && inFrame < first + words[(cache + CACHE_FRAMES_BYTES) / 4]!)
          return frameBytes - (inFrame & (frameBytes - 1))
      }
      return 0
    },
    close() {
      for (const cache of caches.values()) drain(cache)
    },
  }
}
