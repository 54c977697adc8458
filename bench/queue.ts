import { availableParallelism } from 'node:os'
import { placeMatcher } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS, createPool, createSpace, loadCode } from '../src/memory/index.js'
import {
  type AtomicCounts,
  attachConsumer,
  attachProducer,
  createSharedQueue,
  type Locking,
} from '../src/transmit/index.js'
import { runQueue } from '../test/support/queue-run.js'
import { WORK_RULE } from './judged-work.js'
import { writeFlows } from './packet-source.js'
import { loadLoop, type Turn } from './queue-loop.js'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'

/**
 * The queue without a lock against its locked twin, at the same size of bundles.
 * Alone: one thread puts packets in and takes them out, as one that sends and
 * runs the queue; `bypass`: it finds the queue empty, and leaves the packets
 * where they are, as both twins do when nobody else sends (`locklessUncontended`). With 1, 2 and 4 producers in threads: numbered packets to a
 * consumer, which looks at each number. Atomic operations are counted by the
 * checked build.
 *
 *     npm run bench -- queue --packets 1000000000
 *
 * is the long run: so many numbered packets, a third of them each from 1, 2 and
 * 4 producers.
 */
const LOCKINGS: readonly Locking[] = ['locked', 'lockless']
const TURNS: readonly Turn[] = ['queued', 'bypass']
const BUNDLES: readonly number[] = [1, 8, 64]
const PRODUCERS: readonly number[] = [1, 2, 4]
const ROUNDS = 21
const PACKETS = 409_600
const THREAD_ROUNDS = 5
const THREAD_PACKETS = 1_500_000
const COUNTED_PACKETS = 204_800
/** Bundles of any sizes, for the long run. */
const MIXED = [64, 1, 7, 256, 32, 3, 128]

interface Way {
  readonly locking: Locking
  readonly turn: Turn
  /** Takes a bundle of so many packets through so many turns. */
  run(bundle: number, turns: number, count: number): void
  counts(): AtomicCounts
}

function openWays(isChecked: boolean) {
  const space = createSpace(8 << 20)
  const code = loadCode(space, isChecked)
  const pool = createPool(space, code, { 2048: 1024 })
  const writer = pool.openWorker('writer')
  writeFlows(space, writer, 1024)
  const bundle = space.reserve({ name: 'bundle', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  writer.take(bundle, 64)
  const verdicts = space.reserve({ name: 'verdicts', kind: 'state', bytes: 1024 }).offset
  const { judge } = placeMatcher(space, 'work', compileFilter(WORK_RULE).optimized)
  const ways = LOCKINGS.flatMap((locking) => {
    const queue = createSharedQueue(space, locking, { producers: 1, locking })
    const [producer, consumer] = [attachProducer(space, code, queue, 0), attachConsumer(space, code, queue, null)]
    const counts = () => addCounts(producer.counts(), consumer.counts())
    return TURNS.map((turn): Way => ({ locking, turn, counts, run: loadLoop(space, code, queue, turn) }))
  })
  return {
    ways,
    bundle,
    work(turns: number, count: number) {
      for (let turn = 0; turn < turns; turn++) judge(bundle + BUNDLE_DESCRIPTORS, count, verdicts)
    },
  }
}

/** Nanoseconds a packet, in bundles of `size`. */
function time(size: number, run: (turns: number, count: number) => void): number {
  const turns = PACKETS / size
  const begin = performance.now()
  run(turns, size)
  return ((performance.now() - begin) * 1e6) / (turns * size)
}

/** One thread, nobody else: nanoseconds and atomic operations a packet, and what queueing takes of the time beside the work. */
function measureAlone() {
  const { ways, bundle, work } = openWays(false)
  const counted = openWays(true)
  const rows: Record<string, string | number>[] = []
  const byWay = new Map<string, readonly number[]>()
  for (const size of BUNDLES) {
    const samples = ways.map(() => [] as number[])
    const working: number[] = []
    for (let round = 0; round <= ROUNDS; round++) {
      // The first one warms up.
      const alone = time(size, work)
      const queueing = ways.map(({ run }) => time(size, (turns, count) => run(bundle, turns, count)))
      if (round === 0) continue
      working.push(alone)
      for (const [index, list] of samples.entries()) list.push(queueing[index]!)
    }
    ways.forEach(({ locking, turn }, index) => {
      const { median, least, most } = spreadOf(samples[index]!)
      const way = counted.ways[index]!
      const before = way.counts()
      way.run(counted.bundle, COUNTED_PACKETS / size, size)
      const { loads, locked } = atomics(subtract(way.counts(), before), COUNTED_PACKETS)
      byWay.set(`${locking} ${turn} ${size}`, samples[index]!)
      rows.push({
        threads: 'one, alone',
        queue: locking,
        packets: turn,
        'a bundle': size,
        nsPerPacket: median,
        nsLeast: least,
        nsMost: most,
        'atomic writes a packet': locked,
        'atomic loads a packet': loads,
        'share of time in queueing': median / (median + spreadOf(working).median),
      })
    })
  }
  return { rows, byWay }
}

/** So many threads that put packets in, and one that takes them out and looks at each. */
async function measureThreads(): Promise<Record<string, string | number>[]> {
  const rows: Record<string, string | number>[] = []
  const cpus = availableParallelism() > 1 ? [1, 0] : [0]
  for (const size of [1, 64]) {
    for (const producers of PRODUCERS) {
      const samples = new Map<Locking, number[]>(LOCKINGS.map((locking) => [locking, []]))
      for (let round = 0; round < THREAD_ROUNDS; round++) {
        for (const locking of LOCKINGS) {
          const run = { locking, producers, packets: THREAD_PACKETS, bundles: [size], cpus }
          samples.get(locking)!.push((await runQueue(run)).nsPerPacket)
        }
      }
      for (const locking of LOCKINGS) {
        const { median, least, most } = spreadOf(samples.get(locking)!)
        const run = { locking, producers, packets: COUNTED_PACKETS, bundles: [size], cpus, isChecked: true }
        const { counts } = await runQueue(run)
        const { loads, locked } = atomics(counts, COUNTED_PACKETS)
        rows.push({
          threads: `${producers} and a consumer`,
          queue: locking,
          packets: 'queued',
          'a bundle': size,
          nsPerPacket: median,
          nsLeast: least,
          nsMost: most,
          'atomic writes a packet': locked,
          'atomic loads a packet': loads,
          'sleeps for the lock, per million': (counts.sleeps * 1e6) / COUNTED_PACKETS,
        })
      }
    }
  }
  return rows
}

/** A packet's share: what is one locked instruction on x86, exchanges and stores; and loads, which are ordinary ones there. */
function atomics({ loads, stores, exchanges }: AtomicCounts, packets: number) {
  return { loads: loads / packets, locked: (stores + exchanges) / packets }
}

function addCounts(one: AtomicCounts, other: AtomicCounts): AtomicCounts {
  return {
    loads: one.loads + other.loads,
    stores: one.stores + other.stores,
    exchanges: one.exchanges + other.exchanges,
    sleeps: one.sleeps + other.sleeps,
  }
}

function subtract(one: AtomicCounts, { loads, stores, exchanges, sleeps }: AtomicCounts): AtomicCounts {
  return addCounts(one, { loads: -loads, stores: -stores, exchanges: -exchanges, sleeps: -sleeps })
}

async function longRun(packets: number): Promise<void> {
  const rows: Record<string, string | number>[] = []
  for (const producers of PRODUCERS) {
    const share = Math.ceil(packets / PRODUCERS.length)
    const { nsPerPacket } = await runQueue({ locking: 'lockless', producers, packets: share, bundles: MIXED })
    rows.push({ producers, packets: share, lost: 0, reordered: 0, nsPerPacket, Mpps: 1000 / nsPerPacket })
  }
  printReport({ name: 'queue', rows, ratios: {} })
}

const asked = process.argv.indexOf('--packets')
if (asked >= 0) await longRun(Number(process.argv[asked + 1]))
else {
  const alone = measureAlone()
  const threads = await measureThreads()
  const of = (locking: Locking, what: string, size: number) => alone.byWay.get(`${locking} ${what} ${size}`)!
  // Round by round: what disturbs the machine disturbs the two of a round alike.
  const ratio = (what: string, size: number) =>
    spreadOf(of('locked', what, size).map((ns, round) => ns / of('lockless', what, size)[round]!)).median
  const atomicsOf = (locking: Locking) =>
    alone.rows.find(({ queue, packets, 'a bundle': size }) => queue === locking && packets === 'queued' && size === 1)![
      'atomic writes a packet'
    ] as number
  printReport({
    name: 'queue',
    rows: [...alone.rows, ...threads],
    ratios: {
      locklessUncontended: ratio('bypass', 1),
      locklessQueuedOneByOne: ratio('queued', 1),
      locklessQueuedInBundles: ratio('queued', 64),
      atomicsPerPacketLocked: atomicsOf('locked'),
      atomicsPerPacketLockless: atomicsOf('lockless'),
    },
  })
}
