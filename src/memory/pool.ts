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
  CACHE_MISSING,
  CACHE_OWNERS,
  CACHE_SHARED,
  CACHE_STACK,
  CACHE_STAGGER,
  FAULT_DOUBLE_FREE,
  FAULT_FOREIGN,
  FAULT_FRAME,
  FAULT_USE_AFTER_FREE,
  FAULT_WRITE_AFTER_FREE,
  FAULTS_BYTES,
  FRAME_CLASSES,
  SHARED_BYTES,
  SHARED_COUNT,
  SHARED_STACK,
} from './formats.js'
import type { Region } from './layout.js'
import type { Space } from './space.js'

/** Bytes of a frame. It is aligned to its size, so that a mask leads from any address in it to the frame. */
export type FrameClass = 512 | 2048 | 4096 | 65536

/** By CLASS_…: how many lines the headroom is staggered by, less 1, which is what the class has to spare beside a full packet. */
const CLASSES: readonly { readonly frameBytes: FrameClass; readonly stagger: number }[] = [
  { frameBytes: 2048, stagger: 3 },
  { frameBytes: 512, stagger: 1 },
  { frameBytes: 4096, stagger: 7 },
  { frameBytes: 65536, stagger: 0 },
]

/** How many frames of each class there are. */
export type PoolSize = Partial<Readonly<Record<FrameClass, number>>>

/** The faults that the checked build counts; `foreign`, an address in no frame, is counted in both. */
export interface PoolFaults {
  readonly foreign: number
  readonly doubleFree: number
  readonly useAfterFree: number
  readonly writeAfterFree: number
  /** The frame, or foreign address, of the last one. */
  readonly lastFrame: number
}

/** One class of frames, as it stands. */
export interface ClassBalance {
  readonly frameBytes: FrameClass
  readonly frames: number
  /** In the shared pool and in the caches of all workers; `frames` less this are in use. */
  readonly free: number
  /** Frames that somebody asked for when none was left. */
  readonly missing: number
}

/** What a worker takes frames from and gives them to; shared only through bulk exchange. */
export interface WorkerPool {
  /** Address of its caches, which compiled stages take as `pool`. */
  readonly address: number
  /** Frames of all classes that the whole pool has. */
  readonly frames: number
  /** Appends up to `count` empty frames to the bundle at that address; gives how many. */
  take(bundle: number, count: number, frameBytes?: FrameClass): number
  /** Gives the frames of `count` descriptors at that address back. */
  give(descriptors: number, count: number): void
  /** Bytes from an address in a frame to the frame's end; 0 for an address in none. */
  room(address: number): number
  /** Everything in its caches goes to the shared pool, and the caches' memory is free. */
  close(): void
}

export interface Pool {
  /** A worker's own side, by a name that is not in use. */
  openWorker(name: string): WorkerPool
  balance(): readonly ClassBalance[]
  faults(): PoolFaults
  /**
   * Frames that are in use, with the owner byte of each: OWNER_UNKNOWN, or the
   * stage that had it last + 2. Empty unless the code is the checked build.
   */
  inUse(): readonly { readonly frame: number; readonly owner: number }[]
}

interface PooledClass {
  readonly frameBytes: FrameClass
  readonly stagger: number
  readonly count: number
  readonly frames: Region
  readonly shared: number
  readonly owners: number
}

/**
 * Makes all frames there will be. They come first in the memory, because the
 * kernel pins what lies below the end of the last frame that it is given.
 */
export function createPool(space: Space, code: Code, size: PoolSize): Pool {
  const { words, counters, bytes } = space
  const classes = CLASSES.map(({ frameBytes, stagger }) => {
    const count = size[frameBytes] ?? 0
    const named = (kind: 'frames' | 'stack' | 'owners', length: number, alignment = 64) =>
      space.reserve({ name: `pool ${frameBytes} ${kind}`, kind, bytes: length, alignment })
    return {
      frameBytes,
      stagger,
      count,
      frames: named('frames', count * frameBytes, Math.max(4096, frameBytes)),
      named,
    }
  }).map(({ named, ...rest }): PooledClass => {
    const stack = named('stack', SHARED_BYTES + rest.count * 4).offset
    return { ...rest, shared: stack, owners: code.checked ? named('owners', rest.count).offset : 0 }
  })
  const faults = space.reserve({ name: 'pool faults', kind: 'counters', bytes: FAULTS_BYTES }).offset
  for (const pooled of classes) fillShared(space, code, pooled)

  const workers = new Map<string, number>()
  return {
    openWorker(name) {
      const worker = openWorkerPool(space, code, classes, faults, name, () => workers.delete(name))
      workers.set(name, worker.address)
      return worker
    },
    balance: () =>
      classes.map(({ frameBytes, count, shared }, index) => {
        let free = words[(shared + SHARED_COUNT) / 4]!
        let missing = 0
        for (const address of workers.values()) {
          const cache = address + index * CACHE_BYTES
          free += words[(cache + CACHE_COUNT) / 4]!
          missing += counters[(cache + CACHE_MISSING) / 8]!
        }
        return { frameBytes, frames: count, free, missing }
      }),
    faults: () => ({
      foreign: words[(faults + FAULT_FOREIGN) / 4]!,
      doubleFree: words[(faults + FAULT_DOUBLE_FREE) / 4]!,
      useAfterFree: words[(faults + FAULT_USE_AFTER_FREE) / 4]!,
      writeAfterFree: words[(faults + FAULT_WRITE_AFTER_FREE) / 4]!,
      lastFrame: words[(faults + FAULT_FRAME) / 4]!,
    }),
    inUse: () =>
      classes.flatMap(({ frameBytes, count, frames, owners }) =>
        Array.from({ length: owners === 0 ? 0 : count }, (_, index) => index)
          .filter((index) => bytes[owners + index] !== 0)
          .map((index) => ({ frame: frames.offset + index * frameBytes, owner: bytes[owners + index]! })),
      ),
  }
}

/** Lower frames on top, so that few are touched where few are used. */
function fillShared({ words, bytes }: Space, { checked }: Code, { frameBytes, count, frames, shared }: PooledClass) {
  const stack = shared + SHARED_BYTES
  words[(shared + SHARED_STACK) / 4] = stack
  words[(shared + SHARED_COUNT) / 4] = count
  for (let index = 0; index < count; index++)
    words[stack / 4 + index] = frames.offset + (count - 1 - index) * frameBytes
  if (checked) bytes.fill(POISON, frames.offset, frames.offset + frames.bytes)
}

/** What the checked build fills free frames with. */
const POISON = 0xdb

function openWorkerPool(
  space: Space,
  code: Code,
  classes: readonly PooledClass[],
  faults: number,
  name: string,
  closed: () => void,
): WorkerPool {
  const { words } = space
  const stackBytes = CACHE_ENTRIES * 4
  const region = space.reserve({
    name: `pool cache ${name}`,
    kind: 'stack',
    bytes: FRAME_CLASSES * (CACHE_BYTES + stackBytes),
  })
  const cacheOf = (index: number) => region.offset + index * CACHE_BYTES
  classes.forEach(({ frameBytes, stagger, frames, shared, owners }, index) => {
    const write = (field: number, value: number) => {
      words[(cacheOf(index) + field) / 4] = value
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
  })
  const [take, give, drain] = [code.find('poolTake'), code.find('poolGive'), code.find('poolDrain')]
  const indices = new Map(classes.map(({ frameBytes }, index) => [frameBytes, index]))
  return {
    address: region.offset,
    frames: classes.reduce((sum, { count }) => sum + count, 0),
    take: (bundle, count, frameBytes = 2048) => take(cacheOf(indices.get(frameBytes)!), bundle, count) as number,
    give: (descriptors, count) => give(region.offset, descriptors, count),
    room(address) {
      for (const { frameBytes, frames } of classes)
        if (address >= frames.offset && address < frames.offset + frames.bytes)
          return frameBytes - (address & (frameBytes - 1))
      return 0
    },
    close() {
      for (let index = 0; index < FRAME_CLASSES; index++) drain(cacheOf(index))
      space.free(region.name)
      closed()
    },
  }
}
