import { createLink } from '../src/device/index.js'
import { setAffinity } from '../src/kernel/index.js'
import { createPool, createSpace, loadCode } from '../src/memory/index.js'
import { type Discipline, fifo, fqCodel, openQueue, priority, tokenBucket } from '../src/transmit/index.js'
import { openPingAndBulk, type PingsAndBulk } from './ping-and-bulk.js'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'

/**
 * A bulk flow that always has more and a sparse one, a packet of 100 bytes every
 * 20 ms, through a token bucket of 10 Mbit/s, by the real clock: the time from the
 * queue to the far end of a link in memory, with what stands inside the bucket.
 */
const BITS_PER_SECOND = 10e6
const ROUNDS = 5
const SETTLE_MS = 1500
const MEASURE_MS = 3000
const PINGS = { pingMs: 20, backlog: 900 }

const INSIDE: readonly { readonly title: string; readonly inner: Discipline }[] = [
  { title: 'FIFO, 1000 packets', inner: fifo() },
  { title: 'FQ-CoDel', inner: fqCodel() },
  { title: 'priority, both in one class', inner: priority() },
]

const space = createSpace(64 << 20)
const code = loadCode(space)
const worker = createPool(space, code, { 2048: 4096 }).openWorker('bench')
const [near, far] = createLink(space, code, worker, 'wire')
const traffic = openPingAndBulk(space, worker, far)
setAffinity(0, [0])

function sample(inner: Discipline): PingsAndBulk {
  const discipline = tokenBucket({ bitsPerSecond: BITS_PER_SECOND }, inner)
  const queue = openQueue(space, code, worker, { ...near, close() {} }, { discipline })
  traffic.run(queue, SETTLE_MS, PINGS)
  const found = traffic.run(queue, MEASURE_MS, PINGS)
  queue.close()
  traffic.drain()
  return found
}

const samples = INSIDE.map(() => [] as PingsAndBulk[])
for (let round = 0; round < ROUNDS; round++)
  for (const [index, { inner }] of INSIDE.entries()) samples[index]!.push(sample(inner))
const p99 = samples.map((list) => spreadOf(list.map(({ p99Ms }) => p99Ms)))
printReport({
  name: 'fq-codel',
  rows: INSIDE.map(({ title }, index) => ({
    'in the bucket': title,
    'sparse p50 ms': spreadOf(samples[index]!.map(({ p50Ms }) => p50Ms)).median,
    'sparse p99 ms': p99[index]!.median,
    'p99 range': `${p99[index]!.least.toFixed(2)}-${p99[index]!.most.toFixed(2)}`,
    'Mbit/s': spreadOf(samples[index]!.map(({ mbitPerSecond }) => mbitPerSecond)).median,
  })),
  ratios: { sparseShare: p99[1]!.median / p99[0]!.median, sparseP99Ms: p99[1]!.median },
})
