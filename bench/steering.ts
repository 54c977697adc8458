import { readdirSync } from 'node:fs'
import { startWorkers } from '../src/engine/index.js'
import { createPool, createSpace, loadCode } from '../src/memory/index.js'
import { writeFlows } from './packet-source.js'
import { printReport } from './report.js'
import { openRounds } from './rounds.js'
import { type Sharing, steeringPlan } from './steering-plan.js'

/**
 * Packets of 4096 flows, judged so often a packet: by one worker, which also
 * receives them; by another than that; or by both, each for the flows that a
 * hash gives it. Two cores, a worker on each; frames go back to the pool where they end.
 *
 * Two workers are compared with the mean of the rates that one has alone on
 * either core: that many packets two cores would judge if sharing cost nothing,
 * whichever of them is the faster one at the moment.
 */
const FRAMES = 4096
const ROUNDS = 31
const WARM_UP_ROUNDS = 5
/** A round is to be shorter than the machine stays as it is. */
const MEASURE_MS = 30
const SETTLE_MS = 10
/** The first is what `twoWorkers` is of. */
const WORK: readonly number[] = [256, 64, 16, 1]
const WAYS: readonly Exclude<Sharing, 'nobody'>[] = ['handed over', 'front', 'both', 'back']

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const space = createSpace(32 << 20)
const code = loadCode(space)
const pool = createPool(space, code, { 2048: FRAMES })
const writer = pool.openWorker('writer')
writeFlows(space, writer, FRAMES)
writer.close()
const rounds = await openRounds()
const [first, second] = [rounds.cores[0]!, rounds.cores.at(-1)!]
const coresOf: Partial<Record<Sharing, readonly number[]>> = { front: [first], back: [second] }
const before = new Set(readdirSync('/proc/self/task'))
const workers = await startWorkers(steeringPlan, space, code, pool, {
  settings: { sharing: 'nobody', judgements: 1 },
  placement: { front: { cpu: first, spinUs: 20 }, back: { cpu: second, spinUs: 20 } },
})
const threads = readdirSync('/proc/self/task')
  .filter((id) => !before.has(id))
  .map(Number)
const done = () =>
  workers
    .statistics()
    .flatMap(({ stages }) => stages.filter(({ name }) => name === 'work'))
    .reduce((sum, { drops }) => sum + drops['done']!, 0)

/** Nanoseconds a packet. */
async function measure(sharing: Sharing, judgements: number): Promise<number> {
  await workers.change({ sharing, judgements })
  await pause(SETTLE_MS)
  const [before, begin] = [done(), performance.now()]
  await pause(MEASURE_MS)
  const nanoseconds = ((performance.now() - begin) * 1e6) / (done() - before)
  await workers.change({ sharing: 'nobody', judgements })
  return nanoseconds
}

const rows: Record<string, string | number>[] = []
const speedups: number[] = []
for (const judgements of WORK) {
  for (let round = 0; round < WARM_UP_ROUNDS; round++) for (const way of WAYS) await measure(way, judgements)
  const contestants = WAYS.map((way) => ({
    name: way,
    threads,
    cores: coresOf[way] ?? rounds.cores,
    sample: () => measure(way, judgements),
  }))
  const comparison = await rounds.compare(contestants, ROUNDS)
  for (const way of WAYS) {
    const columns = comparison.columns(way)
    rows.push({ judgements, 'work by': way, Mpps: 1000 / columns.nsPerPacket, ...columns })
  }
  const speedup = comparison.spreadBeside('both', (both, nearest) => {
    const meanRate = (1 / nearest('front') + 1 / nearest('back')) / 2
    return 1 / both / meanRate
  })
  speedups.push(speedup.median)
}
await workers.close()
const ratios = { twoWorkers: speedups[0]!, twoWorkersLeastWork: speedups.at(-1)! }
printReport({ name: 'steering', rows, ratios, disturbed: rounds.disturbed() })
