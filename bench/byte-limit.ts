import { availableParallelism } from 'node:os'
import { startWorkers } from '../src/engine/index.js'
import { setAffinity } from '../src/kernel/index.js'
import { createPool, createSpace, loadCode } from '../src/memory/index.js'
import { fqCodel, openQueue, type QueueOptions } from '../src/transmit/index.js'
import { BULK_BYTES, openPingAndBulk, type PingsAndBulk } from './ping-and-bulk.js'
import { printReport } from './report.js'
import { slowLinkPlan } from './slow-link-plan.js'
import { spreadOf } from './statistics.js'

/**
 * A bulk transfer, which always has more, and a ping every 2 ms through one link
 * of 100 Mbit/s: a worker on the other core, with a ring of 1024 packets as a
 * network card has it. FQ-CoDel stands before it in all cases; without a byte
 * limit the ring fills, and no discipline can do anything about what is in there.
 */
const BITS_PER_SECOND = 100e6
const SLOTS = 1024
const FRAMES = 2048
const ROUNDS = 5
/** The limit moves down once a second. */
const SETTLE_MS = 2500
const MEASURE_MS = 2000
const PINGS = { pingMs: 2, backlog: 100 }
/** What the ring holds has passed the wire. */
const DRAIN_MS = 300

interface Case {
  readonly title: string
  readonly byteLimit: NonNullable<QueueOptions['byteLimit']>
}

const CASES: readonly Case[] = [
  { title: 'none', byteLimit: 'off' },
  { title: 'by itself', byteLimit: 'auto' },
  { title: 'fixed, 16 packets', byteLimit: 16 * BULK_BYTES },
]

interface Sample extends PingsAndBulk {
  readonly limitBytes: number
}

const space = createSpace(64 << 20)
const code = loadCode(space)
const pool = createPool(space, code, { 2048: FRAMES })
const workers = await startWorkers(slowLinkPlan, space, code, pool, {
  settings: { bitsPerSecond: BITS_PER_SECOND },
  slots: SLOTS,
  placement: { card: { cpu: availableParallelism() > 1 ? 1 : 0, spinUs: 5000 } },
})
setAffinity(0, [0])
const [card, wire] = [workers.to('card'), workers.from('card')]
const traffic = openPingAndBulk(space, workers.pool, wire)

async function sample({ byteLimit }: Case): Promise<Sample> {
  const queue = openQueue(space, code, workers.pool, { ...card, close() {} }, { byteLimit, discipline: fqCodel() })
  traffic.run(queue, SETTLE_MS, PINGS)
  const found = traffic.run(queue, MEASURE_MS, PINGS)
  const { byteLimit: limit } = queue.queued()
  queue.close()
  await new Promise((resolve) => setTimeout(resolve, DRAIN_MS))
  traffic.drain()
  return { ...found, limitBytes: limit ?? 0 }
}

const samples = new Map(CASES.map((each) => [each, [] as Sample[]]))
for (let round = 0; round < ROUNDS; round++) for (const [each, list] of samples) list.push(await sample(each))
await workers.close()
const of = (each: Case, value: (sample: Sample) => number) => samples.get(each)!.map(value)
const [none, auto] = CASES as [Case, Case]
const share = (value: (sample: Sample) => number) =>
  spreadOf(of(auto, value).map((each, round) => each / of(none, value)[round]!)).median
printReport({
  name: 'byte-limit',
  rows: CASES.map((each) => {
    const [p99, rate] = [spreadOf(of(each, ({ p99Ms }) => p99Ms)), spreadOf(of(each, (one) => one.mbitPerSecond))]
    return {
      'byte limit': each.title,
      'ping p50 ms': spreadOf(of(each, ({ p50Ms }) => p50Ms)).median,
      'ping p99 ms': p99.median,
      'p99 range': `${p99.least.toFixed(2)}-${p99.most.toFixed(2)}`,
      'Mbit/s': rate.median,
      'Mbit/s range': `${rate.least.toFixed(1)}-${rate.most.toFixed(1)}`,
      'limit, bytes': spreadOf(of(each, ({ limitBytes }) => limitBytes)).median,
    }
  }),
  ratios: { latencyShare: share(({ p99Ms }) => p99Ms), throughputShare: share((one) => one.mbitPerSecond) },
})
