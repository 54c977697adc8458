import { type Code, DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, type Space, type WorkerPool } from '../memory/index.js'
import {
  SHARED_COUNT_BITS,
  SHARED_MARK_BYTES,
  SHARED_MASK,
  SHARED_RESERVED,
  SHARED_SLOTS,
  SHARED_TAKEN,
  SIDE_BYTES,
  SIDE_EXCHANGES,
  SIDE_LOADS,
  SIDE_SLEEPS,
  SIDE_STORES,
} from './formats.js'

/** `lockless`: one exchange and one store a bundle; `locked`: one lock around all, for comparison. */
export type Locking = 'lockless' | 'locked'

/** Where a shared queue lies, as plain data that threads can be sent. */
export interface SharedQueuePlace {
  readonly address: number
  readonly slots: number
  readonly locking: Locking
  /** How many producers there may be. */
  readonly producers: number
  /** Address of what each side keeps for itself, the consumer's last. */
  readonly sides: number
}

/** A queue that several threads put packets into and one takes them out of. */
export interface SharedQueue extends SharedQueuePlace {
  /** Frees its memory; what is in it must have been taken out. */
  close(): void
}

/** Atomic operations that one side has made, counted by the checked build alone; `sleeps` by both. */
export interface AtomicCounts {
  readonly loads: number
  readonly stores: number
  readonly exchanges: number
  /** Times it has given up its core to whoever had the lock. */
  readonly sleeps: number
}

/** One thread's way into a shared queue. */
export interface SharedProducer {
  /**
   * Puts what there is room for of the bundle into the queue, the rest stays;
   * gives how many went. Without a lock it waits for nobody, and up to an eighth
   * of the slots may be free already and not known to be.
   */
  push(bundle: number): number
  counts(): AtomicCounts
}

/** The way out. */
export interface SharedConsumer {
  /** Appends up to `most` packets to the bundle; gives how many. */
  pull(bundle: number, most: number): number
  /** Whether `pull` would give something. */
  isReady(): boolean
  counts(): AtomicCounts
}

const CODE = {
  lockless: { push: 'sharedPush', pull: 'sharedPull', ready: 'sharedReady' },
  locked: { push: 'lockedPush', pull: 'lockedPull', ready: 'lockedReady' },
} as const

/**
 * Makes a queue of at least so many slots, a power of two, for up to `producers`
 * threads. Throws LayoutError.
 */
export function createSharedQueue(
  space: Space,
  name: string,
  { slots = 1024, producers, locking = 'lockless' }: Partial<SharedQueuePlace> & { readonly producers: number },
): SharedQueue {
  const size = 2 ** Math.ceil(Math.log2(slots))
  const queueBytes = SHARED_SLOTS + size * (DESCRIPTOR_BYTES + SHARED_MARK_BYTES)
  const sidesAt = Math.ceil(queueBytes / SIDE_BYTES) * SIDE_BYTES
  const bytes = sidesAt + (producers + 1) * SIDE_BYTES
  const queue = space.reserve({ name: `shared queue ${name}`, kind: 'ring', bytes })
  const { offset: address } = queue
  space.words[(address + SHARED_MASK) / 4] = size - 1
  return {
    address,
    slots: size,
    locking,
    producers,
    sides: address + sidesAt,
    close: () => space.free(queue.name),
  }
}

/** Producer `number`, from 0 on, of a queue that any thread has made; one thread at a time may be it. */
export function attachProducer(space: Space, code: Code, place: SharedQueuePlace, number: number): SharedProducer {
  if (number >= place.producers)
    throw new Error(`the shared queue has ${place.producers} producers; make it for more than ${number}`)
  const push = code.find(CODE[place.locking].push)
  const side = place.sides + number * SIDE_BYTES
  return {
    push: (bundle) => push(place.address, side, bundle) as number,
    counts: () => countsOf(space, side),
  }
}

/**
 * The consumer of a queue that any thread has made; one thread at a time may be
 * it. What it takes is noted as held by the worker of `pool`; null for packets without frames.
 */
export function attachConsumer(
  space: Space,
  code: Code,
  place: SharedQueuePlace,
  pool: WorkerPool | null,
): SharedConsumer {
  const { pull: pullName, ready: readyName } = CODE[place.locking]
  const [pull, ready] = [code.find(pullName), code.find(readyName)]
  const side = place.sides + place.producers * SIDE_BYTES
  const holder = pool?.address ?? 0
  return {
    pull: (bundle, most) => pull(place.address, side, holder, bundle, most) as number,
    isReady: () => ready(place.address, side) !== 0,
    counts: () => countsOf(space, side),
  }
}

/** Addresses of the packets that lie in a shared queue, as an onlooker sees them: not those that are being put in. */
export function* packetsInQueue({ words }: Space, { address, slots, locking }: SharedQueuePlace): Generator<number> {
  const indexAt = (field: number) => words[(address + field) / 4]! + words[(address + field) / 4 + 1]! * 2 ** 32
  const end = indexAt(SHARED_RESERVED)
  const marks = address + SHARED_SLOTS + slots * DESCRIPTOR_BYTES
  const publishedAt = (index: number) => {
    const at = (marks + (index & (slots - 1)) * SHARED_MARK_BYTES) / 4
    const mark = words[at]! + words[at + 1]! * 2 ** 32
    return Math.floor(mark / 2 ** SHARED_COUNT_BITS) === index ? mark % 2 ** SHARED_COUNT_BITS : 0
  }
  let published = 0
  for (let index = indexAt(SHARED_TAKEN); index < end; index++, published--) {
    if (published <= 0) published = locking === 'locked' ? end - index : publishedAt(index)
    const slot = address + SHARED_SLOTS + (index & (slots - 1)) * DESCRIPTOR_BYTES
    if (published > 0) yield words[(slot + DESCRIPTOR_ADDRESS) / 4]!
  }
}

function countsOf({ counters }: Space, side: number): AtomicCounts {
  const count = (field: number) => counters[(side + field) / 8]!
  return {
    loads: count(SIDE_LOADS),
    stores: count(SIDE_STORES),
    exchanges: count(SIDE_EXCHANGES),
    sleeps: count(SIDE_SLEEPS),
  }
}
