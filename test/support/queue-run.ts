import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { withAffinity } from '../../src/kernel/index.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  createSpace,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_WIRE,
  loadCode,
  type Space,
} from '../../src/memory/index.js'
import {
  type AtomicCounts,
  attachConsumer,
  attachProducer,
  createSharedQueue,
  type Locking,
  type SharedQueuePlace,
} from '../../src/transmit/index.js'

export interface QueueRun {
  readonly locking: Locking
  readonly producers: number
  /** Of all producers together. */
  readonly packets: number
  /** Packets of the bundles that a producer puts in, in turn. */
  readonly bundles: readonly number[]
  readonly slots?: number
  /** Whether atomic operations are counted, by the build that is many times slower. */
  readonly isChecked?: boolean
  /** The cores of the producers, in turn; any where there are none. */
  readonly cpus?: readonly number[]
}

/** What a run took, and the atomic operations of all sides, where they were counted. */
export interface QueueRunReport {
  readonly nsPerPacket: number
  readonly counts: AtomicCounts
}

/** What a producer's thread is started with. */
export interface ProducerStart {
  readonly memory: Space['memory']
  readonly isChecked: boolean
  readonly part: { readonly offset: number; readonly bytes: number }
  readonly place: SharedQueuePlace
  readonly number: number
  readonly packets: number
  readonly bundles: readonly number[]
  /** Address of the words of SIGNAL. */
  readonly signals: number
}

/** Words that the threads of a run share: how many producers are ready, the start, and one that stays 0. */
export const SIGNAL = { ready: 0, start: 1, never: 2 } as const

const PART_BYTES = 1 << 16
const TAKEN_AT_ONCE = 64
const ROUNDS_AT_ONCE = 4096
const STALL_MS = 20_000

/**
 * Sends numbered packets through a queue, from so many threads to this one.
 * Rejects where one is lost, doubled or overtaken by a later one of its
 * producer, and where nothing comes any more.
 */
export async function runQueue(run: QueueRun): Promise<QueueRunReport> {
  const { locking, producers, packets, bundles, slots = 1024, isChecked = false, cpus } = run
  const space = createSpace(PART_BYTES * (producers + 4) + slots * 64)
  const code = loadCode(space, isChecked)
  const signals = space.reserve({ name: 'signals', kind: 'state', bytes: 64 }).offset
  const queue = createSharedQueue(space, 'run', { slots, producers, locking })
  const { close: _, ...place } = queue
  const share = Math.floor(packets / producers)
  const threads = Array.from({ length: producers }, (_, number) => {
    const part = space.reserve({ name: `part ${number}`, kind: 'worker', bytes: PART_BYTES })
    const start = { memory: space.memory, isChecked, part, place, number, packets: share, bundles, signals }
    const create = () => new Worker(new URL('./queue-producer-worker.js', import.meta.url), { workerData: start })
    return cpus === undefined ? create() : withAffinity([cpus[number % cpus.length]!], create)
  })
  const failed = Promise.all(threads.map((thread) => once(thread, 'exit')))
  const words = new Int32Array(space.memory.buffer, signals)
  while (Atomics.load(words, SIGNAL.ready) < producers) await new Promise((resolve) => setTimeout(resolve, 1))
  const consumer = attachConsumer(space, code, place, null)
  const begin = performance.now()
  Atomics.store(words, SIGNAL.start, 1)
  Atomics.notify(words, SIGNAL.start)
  await takeAll(space, consumer.pull, share, producers)
  const nsPerPacket = ((performance.now() - begin) * 1e6) / (share * producers)
  await failed
  const sides = threads.map((_, number) => attachProducer(space, code, place, number).counts())
  return { nsPerPacket, counts: [...sides, consumer.counts()].reduce(addCounts) }
}

/** Takes the packets of all producers, and looks at the number of each. */
async function takeAll(space: Space, pull: (bundle: number, most: number) => number, share: number, producers: number) {
  const { words } = space
  const bundle = space.reserve({ name: 'taken', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  const next = new Uint32Array(producers)
  let left = share * producers
  let seenAt = performance.now()
  while (left > 0) {
    const before = left
    for (let round = 0; round < ROUNDS_AT_ONCE && left > 0; round++) {
      const count = pull(bundle, TAKEN_AT_ONCE)
      let at = (bundle + BUNDLE_DESCRIPTORS) / 4
      for (let index = 0; index < count; index++, at += DESCRIPTOR_BYTES / 4) {
        const from = words[at + DESCRIPTOR_ADDRESS / 4]!
        const number = words[at + DESCRIPTOR_WIRE / 4]!
        if (next[from]!++ !== number)
          throw new Error(`producer ${from}: packet ${number} came where ${next[from]! - 1} was due`)
      }
      words[bundle / 4] = 0
      left -= count
    }
    if (left < before) seenAt = performance.now()
    else if (performance.now() - seenAt > STALL_MS)
      throw new Error(`${left} packets have not come: next of each producer ${next.join(', ')} of ${share}`)
    await new Promise(setImmediate)
  }
}

function addCounts(one: AtomicCounts, other: AtomicCounts): AtomicCounts {
  return {
    loads: one.loads + other.loads,
    stores: one.stores + other.stores,
    exchanges: one.exchanges + other.exchanges,
    sleeps: one.sleeps + other.sleeps,
  }
}
