import { BUNDLE_BYTES, type Code, type Region, type Space, type WorkerPool } from '../memory/index.js'
import { type Discipline, mostPackets, placeDiscipline } from './discipline.js'
import {
  ENTRY_BYTES,
  LIMIT_ALLOWED,
  LIMIT_IS_ON,
  LIMIT_LEAST,
  LIMIT_MOST,
  LIMIT_NOW,
  QUEUE_BYTES,
  QUEUE_DROPS,
  QUEUE_DUE,
  QUEUE_FLIGHT,
  QUEUE_FLIGHT_MASK,
  QUEUE_LIMIT,
  QUEUE_MARKED,
  QUEUE_PACKETS,
  QUEUE_POOL,
  QUEUE_ROOT,
  QUEUE_STATE_BYTES,
} from './formats.js'

/** A queue's words in linear memory, and the compiled functions over them; times are microseconds. */
export interface QueueMemory {
  /** Packets that were let out and that the device has not taken yet: a bundle. */
  readonly out: number
  packets(): number
  bytes(): number
  /** When the discipline lets out the next packet; 0 where it does not hold back. */
  dueUs(): number
  limitBytes(): number
  drops(): Readonly<Record<string, number>>
  marked(): number
  take(bundle: number, nowUs: number): void
  run(most: number, nowUs: number): number
  allowed(bundle: number): number
  offer(bundle: number): void
  given(count: number): void
  done(pending: number, nowUs: number): void
  /** Gives all frames that wait back, and the memory. */
  close(): void
}

/** Between what a byte limit may move, in bytes. */
export interface LimitBounds {
  readonly isOn: boolean
  readonly least: number
  readonly most: number
}

/** Why a queue drops packets, in the order of its counters, f64 each. */
export const QUEUE_REASONS = ['queue full', 'codel'] as const
/** Packets that a device may have unfinished under a byte limit; of those beyond, lengths would be lost. */
const MOST_IN_FLIGHT = 16_384

/** Reserves and writes all that a queue needs, but for the drop counters where `dropsAt` says where they lie. Throws LayoutError; nothing stays behind then. */
export function openQueueMemory(
  space: Space,
  code: Code,
  pool: WorkerPool,
  title: string,
  discipline: Discipline,
  limit: LimitBounds,
  dropsAt?: number,
): QueueMemory {
  const { words, counters } = space
  const names: string[] = []
  const reserve = (what: string, kind: Region['kind'], bytes: number) => {
    const region = space.reserve({ name: `${title} ${what}`, kind, bytes })
    names.push(region.name)
    return region.offset
  }
  const free = () => {
    for (const name of names) space.free(name)
  }
  const entries = mostPackets(discipline) + 1
  try {
    const state = reserve('state', 'state', QUEUE_STATE_BYTES)
    const drops = dropsAt ?? reserve('drops', 'counters', QUEUE_REASONS.length * 8)
    const out = reserve('out', 'bundle', BUNDLE_BYTES)
    const store = reserve('entries', 'table', entries * ENTRY_BYTES)
    const fields = {
      [QUEUE_POOL]: pool.address,
      [QUEUE_DROPS]: drops,
      [QUEUE_ROOT]: placeDiscipline(space, reserve, discipline),
      [QUEUE_FLIGHT]: reserve('lengths', 'ring', MOST_IN_FLIGHT * 4),
      [QUEUE_FLIGHT_MASK]: MOST_IN_FLIGHT - 1,
      [QUEUE_LIMIT + LIMIT_IS_ON]: limit.isOn ? 1 : 0,
      [QUEUE_LIMIT + LIMIT_LEAST]: limit.least,
      [QUEUE_LIMIT + LIMIT_MOST]: limit.most,
      [QUEUE_LIMIT + LIMIT_NOW]: limit.least,
      [QUEUE_LIMIT + LIMIT_ALLOWED]: limit.least,
    }
    for (const [field, value] of Object.entries(fields)) words[(state + Number(field)) / 4] = value
    code.find('queueOpen')(state, store, entries)
    return faceOf({ words, counters, state, drops, out, close })

    function close(): void {
      code.find('queueClose')(state, store, entries)
      free()
    }
  } catch (error) {
    free()
    throw error
  }

  function faceOf({ state, drops, out, close }: Places): QueueMemory {
    const [take, run, allowed] = [code.find('queueTake'), code.find('queueRun'), code.find('queueAllowed')]
    const [offer, given, done] = [code.find('queueOffer'), code.find('queueGiven'), code.find('queueDone')]
    return {
      out,
      packets: () => words[(state + QUEUE_PACKETS) / 4]!,
      bytes: () => words[(state + QUEUE_BYTES) / 4]!,
      dueUs: () => counters[(state + QUEUE_DUE) / 8]!,
      limitBytes: () => words[(state + QUEUE_LIMIT + LIMIT_NOW) / 4]!,
      drops: () => Object.fromEntries(QUEUE_REASONS.map((reason, index) => [reason, counters[drops / 8 + index]!])),
      marked: () => counters[(state + QUEUE_MARKED) / 8]!,
      take: (bundle, nowUs) => take(state, bundle, nowUs),
      run: (most, nowUs) => run(state, out, most, nowUs) as number,
      allowed: (bundle) => allowed(state, bundle) as number,
      offer: (bundle) => offer(state, bundle),
      given: (count) => given(state, count),
      done: (pending, nowUs) => done(state, pending, nowUs),
      close,
    }
  }
}

interface Places {
  readonly words: Uint32Array
  readonly counters: Float64Array
  readonly state: number
  readonly drops: number
  readonly out: number
  close(): void
}
