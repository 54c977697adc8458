import type { Code } from './code.js'
import {
  CACHE_BYTES,
  CACHE_COUNT,
  CACHE_MISSING,
  FAULT_DOUBLE_FREE,
  FAULT_FOREIGN,
  FAULT_FRAME,
  FAULT_USE_AFTER_FREE,
  FAULT_WRITE_AFTER_FREE,
  FAULTS_BYTES,
  HELD_BY_KERNEL,
  MOST_WORKERS,
  SHARED_BYTES,
  SHARED_COUNT,
  SHARED_STACK,
} from './formats.js'
import { CLASSES, type FrameClass, type PooledClass } from './frame-class.js'
import { reclaimFrames } from './reclaim.js'
import type { Space } from './space.js'
import { openWorkerPool, type WorkerPool } from './worker-pool.js'

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
  /** Of those in use, frames of closed sockets that the kernel has not let go of yet. */
  readonly heldByKernel: number
  /** Frames that somebody asked for when none was left. */
  readonly missing: number
}

export interface Pool {
  /** A worker's own side, by a name that is not in use. Throws where there are MOST_WORKERS already. */
  openWorker(name: string): WorkerPool
  /**
   * Puts all frames that a worker held which has ended, its caches' too, into
   * the shared pool; gives how many. `underWay` are addresses in frames that
   * lie in rings, which stay. Its thread must have ended, and the kernel must
   * have let go of the sockets that it had. Its side stays, for the next thread
   * that does its work.
   */
  reclaim(worker: WorkerPool, underWay: Iterable<number>): number
  /**
   * The same where the kernel may not have let go yet: they count as held by
   * it until `letGo` is called, also when the next thread has begun.
   */
  leaveToKernel(worker: WorkerPool, underWay: Iterable<number>): { readonly frames: number; letGo(): void }
  balance(): readonly ClassBalance[]
  faults(): PoolFaults
  /**
   * Frames that are in use, with the owner byte of each: OWNER_UNKNOWN, or the
   * stage that had it last + 2. Empty unless the code is the checked build.
   */
  inUse(): readonly { readonly frame: number; readonly owner: number }[]
}

function checkSize(size: PoolSize): void {
  const known = CLASSES.map(({ frameBytes }) => frameBytes)
  for (const [frameBytes, count] of Object.entries(size)) {
    if (!known.some((each) => String(each) === frameBytes))
      throw new RangeError(`there are no frames of ${frameBytes} bytes; choose from ${known.join(', ')}`)
    if (!Number.isInteger(count) || count < 0)
      throw new RangeError(`a pool of ${count} frames of ${frameBytes} bytes is not possible; give a whole number`)
  }
}

/**
 * Makes all frames there will be. They come first in the memory, because the
 * kernel pins what lies below the end of the last frame that it is given.
 * Throws RangeError for frames that there cannot be, and LayoutError.
 */
export function createPool(space: Space, code: Code, size: PoolSize): Pool {
  checkSize(size)
  const { words, counters, bytes } = space
  const classes = CLASSES.map(({ frameBytes, stagger }) => {
    const count = size[frameBytes] ?? 0
    const named = (what: string, kind: 'frames' | 'stack' | 'owners', length: number, alignment = 64) =>
      space.reserve({ name: `pool ${frameBytes} ${what}`, kind, bytes: length, alignment })
    const frames = named('frames', 'frames', count * frameBytes, count === 0 ? 64 : Math.max(4096, frameBytes))
    return { frameBytes, stagger, count, frames, named }
  }).map(({ named, ...rest }): PooledClass => {
    const shared = named('stack', 'stack', SHARED_BYTES + rest.count * 4).offset
    const holders = named('holders', 'owners', rest.count).offset
    const owners = code.checked ? named('owners', 'owners', rest.count).offset : 0
    return { ...rest, shared, holders, owners }
  })
  const faults = space.reserve({ name: 'pool faults', kind: 'counters', bytes: FAULTS_BYTES }).offset
  for (const pooled of classes) fillShared(space, code, pooled)

  const workers = new Map<number, number>()
  const forKernel = { classes, faults, name: 'kernel', number: HELD_BY_KERNEL, closed() {} }
  const kernel = openWorkerPool(space, code, forKernel).address
  const letGo = code.find('poolLetGo')
  /** Of an earlier worker of that number: who has it now must not take them for its own. */
  const isHeldFor = (number: number) =>
    classes.some(({ holders, count }) => bytes.subarray(holders, holders + count).includes(HELD_BY_KERNEL | number))
  return {
    openWorker(name) {
      let number = 1
      while (workers.has(number) || isHeldFor(number)) number++
      if (number > MOST_WORKERS) throw new Error(`a pool has at most ${MOST_WORKERS} workers; close one of them`)
      const worker = openWorkerPool(space, code, {
        classes,
        faults,
        name,
        number,
        kernel,
        closed: () => workers.delete(number),
      })
      workers.set(number, worker.address)
      return worker
    },
    reclaim: ({ address, number }, underWay) =>
      reclaimFrames(space, code, classes, address, number, underWay, 'pool').length,
    leaveToKernel({ address, number }, underWay) {
      const frames = reclaimFrames(space, code, classes, address, number, underWay, 'kernel')
      return {
        frames: frames.length,
        letGo() {
          for (const frame of frames) letGo(kernel, frame)
        },
      }
    },
    balance: () =>
      classes.map(({ frameBytes, count, shared, holders }, index) => {
        let free = words[(shared + SHARED_COUNT) / 4]!
        let missing = 0
        for (const address of workers.values()) {
          const cache = address + index * CACHE_BYTES
          free += words[(cache + CACHE_COUNT) / 4]!
          missing += counters[(cache + CACHE_MISSING) / 8]!
        }
        const ofKernel = bytes.subarray(holders, holders + count).filter((holder) => holder >= HELD_BY_KERNEL)
        return { frameBytes, frames: count, free, heldByKernel: ofKernel.length, missing }
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
