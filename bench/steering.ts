import { availableParallelism } from 'node:os'
import { startWorkers } from '../src/engine/index.js'
import { createPool, createSpace, loadCode } from '../src/memory/index.js'
import { writeFlows } from './packet-source.js'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'
import { type Sharing, steeringPlan } from './steering-plan.js'

/**
 * Packets of 4096 flows, judged so often a packet: by the worker that receives
 * them, by another one, or by both, each for the flows that a hash gives it.
 * Two cores, a worker on each; frames go back to the pool where they end.
 */
const FRAMES = 4096
const ROUNDS = 5
const MEASURE_MS = 300
const SETTLE_MS = 200
const WORK: readonly number[] = [1, 16, 64, 256]
const WAYS: readonly Exclude<Sharing, 'nobody'>[] = ['one', 'other', 'both']

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const space = createSpace(32 << 20)
const code = loadCode(space)
const pool = createPool(space, code, { 2048: FRAMES })
const writer = pool.openWorker('writer')
writeFlows(space, writer, FRAMES)
writer.close()
const workers = await startWorkers(steeringPlan, space, code, pool, {
  settings: { sharing: 'nobody', judgements: 1 },
  placement: { front: { cpu: 0, spinUs: 20 }, back: { cpu: availableParallelism() > 1 ? 1 : 0, spinUs: 20 } },
})
const done = () =>
  workers
    .statistics()
    .flatMap(({ stages }) => stages.filter(({ name }) => name === 'work'))
    .reduce((sum, { drops }) => sum + drops['done']!, 0)

/** Million packets a second. */
async function measure(sharing: Sharing, judgements: number): Promise<number> {
  await workers.change({ sharing, judgements })
  await pause(SETTLE_MS)
  const [before, begin] = [done(), performance.now()]
  await pause(MEASURE_MS)
  const rate = (done() - before) / (performance.now() - begin) / 1000
  await workers.change({ sharing: 'nobody', judgements })
  return rate
}

const rows: Record<string, string | number>[] = []
const ratios: number[] = []
for (const judgements of WORK) {
  const samples = new Map(WAYS.map((way) => [way, [] as number[]]))
  for (let round = 0; round <= ROUNDS; round++) {
    // The first one warms up.
    for (const [way, list] of samples) {
      const rate = await measure(way, judgements)
      if (round > 0) list.push(rate)
    }
  }
  for (const [way, list] of samples) {
    const { median, least, most } = spreadOf(list)
    rows.push({ judgements, 'work by': way, Mpps: median, least, most, nsPerPacket: 1000 / median })
  }
  // Round by round: what disturbs the machine disturbs the two of a round alike.
  const one = samples.get('one')!
  ratios.push(spreadOf(samples.get('both')!.map((rate, round) => rate / one[round]!)).median)
}
await workers.close()
printReport({ name: 'steering', rows, ratios: { twoWorkers: ratios.at(-1)!, twoWorkersLeastWork: ratios[0]! } })
