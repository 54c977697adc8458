import type { Region, Space } from '../memory/index.js'
import {
  FIFO_BYTES,
  FIFO_MOST_BYTES,
  FIFO_MOST_PACKETS,
  FLOW_BYTES,
  FQ_BYTES,
  FQ_FLOW_COUNT,
  FQ_FLOWS,
  FQ_INTERVAL,
  FQ_MARKS,
  FQ_MOST_BYTES,
  FQ_MOST_PACKETS,
  FQ_QUANTUM,
  FQ_TARGET,
  KIND_FIFO,
  KIND_FQ_CODEL,
  KIND_PRIORITY,
  KIND_TOKENS,
  NODE_KIND,
  PRIORITY_BANDS,
  PRIORITY_BY,
  PRIORITY_BYTES,
  PRIORITY_MAP,
  PRIORITY_MOST_BANDS,
  PRIORITY_NODES,
  TOKENS_BYTES,
  TOKENS_INNER,
  TOKENS_MOST,
  TOKENS_NOW,
  TOKENS_OVERHEAD,
  TOKENS_RATE,
} from './formats.js'

/** Which packet goes next, and which is dropped: a plain value. Made by `fifo`, `priority`, `fqCodel` and `tokenBucket`. */
export type Discipline = Fifo | Priority | FqCodel | TokenBucket

interface Fifo {
  readonly kind: 'fifo'
  readonly packets: number
  readonly bytes: number
}

interface Priority {
  readonly kind: 'priority'
  readonly by: 'dscp' | 'mark'
  /** The first that has packets goes first. */
  readonly bands: readonly Discipline[]
  /** The band of each class or mark, 0 to 63. */
  readonly bandOf: readonly number[]
}

interface FqCodel {
  readonly kind: 'fq codel'
  readonly flows: number
  readonly packets: number
  readonly bytes: number
  readonly quantumBytes: number
  readonly targetMs: number
  readonly intervalMs: number
  readonly marksEcn: boolean
}

interface TokenBucket {
  readonly kind: 'token bucket'
  readonly bitsPerSecond: number
  readonly burstBytes: number
  readonly overheadBytes: number
  readonly inner: Discipline
}

const MIB = 1 << 20

/** First in, first out, up to so many packets (1000 where it is not said) and bytes (4 MiB). */
export function fifo({ packets = 1000, bytes = 4 * MIB }: Partial<Omit<Fifo, 'kind'>> = {}): Discipline {
  return { kind: 'fifo', packets, bytes }
}

/** Expedited forwarding and network control (RFC 3246, 2474), in the class field. */
const URGENT: ReadonlySet<number> = new Set([46, 48, 56])
/** Lower effort and the class that came before it (RFC 8622, 3662). */
const BACKGROUND: ReadonlySet<number> = new Set([1, 8])

/**
 * Strict priority: a packet leaves when all bands before its own are empty. Up
 * to eight bands; each 1000 packets where nothing is said, and then three: by
 * class of service EF, CS6 and CS7, the rest, and LE and CS1. By mark band 0 has mark 0 and so on, the last all further.
 */
export function priority({
  by = 'dscp',
  bands = [fifo(), fifo(), fifo()],
  bandOf = defaultBands(by, bands.length),
}: Partial<Omit<Priority, 'kind'>> = {}): Discipline {
  if (bands.length === 0 || bands.length > PRIORITY_MOST_BANDS)
    throw new RangeError(`a priority has 1 to ${PRIORITY_MOST_BANDS} bands, not ${bands.length}`)
  const wrong = bandOf.find((band) => !(band >= 0 && band < bands.length))
  if (wrong !== undefined || bandOf.length !== 64)
    throw new RangeError(
      `bandOf names a band below ${bands.length} for each of 64 ${by === 'dscp' ? 'classes' : 'marks'}`,
    )
  return { kind: 'priority', by, bands, bandOf }
}

function defaultBands(by: Priority['by'], bands: number): number[] {
  const last = bands - 1
  const ofClass = (key: number) => (URGENT.has(key) ? 0 : Math.min(last, BACKGROUND.has(key) ? 2 : 1))
  return Array.from({ length: 64 }, (_, key) => (by === 'mark' ? Math.min(last, key) : ofClass(key)))
}

/**
 * FQ-CoDel (RFC 8290): fair between flows, by the flow hash of the metadata or
 * the header, and short queues in each of them. Where nothing is said: 1024
 * flows, 10,240 packets, 32 MiB, a quantum of 1514 bytes, a target of 5 ms in
 * 100 ms. With `marksEcn` packets of senders that can hear it are marked instead of dropped.
 */
export function fqCodel(settings: Partial<Omit<FqCodel, 'kind'>> = {}): Discipline {
  const bounds = { flows: 1024, packets: 10_240, bytes: 32 * MIB, quantumBytes: 1514 }
  return { kind: 'fq codel', ...bounds, targetMs: 5, intervalMs: 100, marksEcn: false, ...settings }
}

/**
 * Lets out so many bits a second, and up to `burstBytes` (a millisecond's, at
 * least two packets of 1514 bytes, where it is not said) at once after a pause.
 * A packet counts as long as it is with `overheadBytes`, for Ethernet's gap,
 * preamble and checksum 24, and leaves when there is no debt: the burst can be one packet longer.
 * Where packets wait, what a late wake-up has cost is made up for, up to 10 ms.
 */
export function tokenBucket(
  { bitsPerSecond, burstBytes = Math.max(3028, bitsPerSecond / 8000), overheadBytes = 0 }: TokenBucketSettings,
  inner: Discipline = fifo(),
): Discipline {
  if (!(bitsPerSecond > 0)) throw new RangeError(`a token bucket lets out more than ${bitsPerSecond} bits a second`)
  return { kind: 'token bucket', bitsPerSecond, burstBytes, overheadBytes, inner }
}

export type TokenBucketSettings = Pick<TokenBucket, 'bitsPerSecond'> &
  Partial<Pick<TokenBucket, 'burstBytes' | 'overheadBytes'>>

/** Packets that a discipline and all within it hold at most. */
export function mostPackets(discipline: Discipline): number {
  switch (discipline.kind) {
    case 'priority':
      return discipline.bands.reduce((sum, band) => sum + mostPackets(band), 0)
    case 'token bucket':
      return mostPackets(discipline.inner)
    default:
      return discipline.packets
  }
}

/** Whether a discipline, or one within it, lets packets out in their time only. */
export function isShaped(discipline: Discipline): boolean {
  if (discipline.kind === 'priority') return discipline.bands.some(isShaped)
  return discipline.kind === 'token bucket'
}

/** Writes a discipline and all within it into memory that `reserve` gives; gives the address of its node. */
export function placeDiscipline(
  { words, counters, bytes }: Space,
  reserve: (what: string, kind: Region['kind'], bytes: number) => number,
  discipline: Discipline,
  name = 'root',
): number {
  const node = (size: number, kind: number) => {
    const at = reserve(name, 'state', size)
    words[(at + NODE_KIND) / 4] = kind
    return at
  }
  const set = (at: number, fields: Readonly<Record<number, number>>) => {
    for (const [field, value] of Object.entries(fields)) words[(at + Number(field)) / 4] = value
  }
  const place = (inner: Discipline, order: number | string) =>
    placeDiscipline({ words, counters, bytes } as Space, reserve, inner, `${name} ${order}`)
  switch (discipline.kind) {
    case 'fifo': {
      const at = node(FIFO_BYTES, KIND_FIFO)
      set(at, { [FIFO_MOST_PACKETS]: discipline.packets, [FIFO_MOST_BYTES]: discipline.bytes })
      return at
    }
    case 'priority': {
      const at = node(PRIORITY_BYTES, KIND_PRIORITY)
      set(at, { [PRIORITY_BY]: discipline.by === 'dscp' ? 0 : 1, [PRIORITY_BANDS]: discipline.bands.length })
      bytes.set(discipline.bandOf, at + PRIORITY_MAP)
      words.set(discipline.bands.map(place), (at + PRIORITY_NODES) / 4)
      return at
    }
    case 'token bucket': {
      const at = node(TOKENS_BYTES, KIND_TOKENS)
      set(at, { [TOKENS_INNER]: place(discipline.inner, 'inner'), [TOKENS_OVERHEAD]: discipline.overheadBytes })
      counters[(at + TOKENS_NOW) / 8] = discipline.burstBytes
      counters[(at + TOKENS_RATE) / 8] = discipline.bitsPerSecond / 8e6
      counters[(at + TOKENS_MOST) / 8] = discipline.burstBytes
      return at
    }
    case 'fq codel': {
      const at = node(FQ_BYTES, KIND_FQ_CODEL)
      set(at, {
        [FQ_FLOWS]: reserve(`${name} flows`, 'table', discipline.flows * FLOW_BYTES),
        [FQ_FLOW_COUNT]: discipline.flows,
        [FQ_QUANTUM]: discipline.quantumBytes,
        [FQ_MOST_PACKETS]: discipline.packets,
        [FQ_MOST_BYTES]: discipline.bytes,
        [FQ_MARKS]: discipline.marksEcn ? 1 : 0,
      })
      counters[(at + FQ_TARGET) / 8] = discipline.targetMs * 1000
      counters[(at + FQ_INTERVAL) / 8] = discipline.intervalMs * 1000
      return at
    }
  }
}
