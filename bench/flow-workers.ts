import { startWorkers } from '../src/engine/index.js'
import { createPool, createSpace, loadCode } from '../src/memory/index.js'
import { openRoutes, routesBytes } from '../src/route/index.js'
import { flowWorkersPlan, type Way } from './flow-workers-plan.js'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'

/**
 * Tracked and forwarded, two directions of 2,048 flows in packets of 64 bytes,
 * from memory to memory: by one worker, by two whose flows come to them both
 * ways, and by two of which each gets packets of all flows and hands a half over.
 * With judgements of a rule as what else is to be done with a packet. Two cores, a worker on each.
 */
const FRAMES = 4096
const ROUNDS = 7
const MEASURE_MS = 250
const SETTLE_MS = 150
const WORK: readonly number[] = [0, 16, 64]
const WAYS: readonly Exclude<Way, 'nobody'>[] = ['one', 'at home', 'handed over']
const SIZES = {
  v4: { rootBits: 16, nodes: 64, routes: 64 },
  v6: { rootBits: 8, nodes: 8, routes: 16 },
  ports: 2,
} as const

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const space = createSpace((32 << 20) + routesBytes(SIZES))
const code = loadCode(space)
const pool = createPool(space, code, { 2048: FRAMES })
const routes = openRoutes(space, code, 'bench', SIZES)
;[
  [10, 0, 0, 0],
  [203, 0, 113, 0],
].forEach((address, port) => {
  routes.setPort(port, { mac: Uint8Array.of(2, 0, 0, 0, 0, port + 1), mtu: 1500 })
  const hop = routes.addNextHop({ kind: 'forward', port, mac: Uint8Array.of(2, 0, 0, 0, 1, port + 1) })
  routes.insert({ address: Uint8Array.from(address), length: port === 0 ? 8 : 24 }, hop)
})
const tables = { address: routes.address, ports: routes.ports }
const workers = await startWorkers(flowWorkersPlan, space, code, pool, {
  settings: { way: 'nobody', tables, judgements: 0 },
  placement: { 'worker 0': { cpu: 0, spinUs: 20 }, 'worker 1': { cpu: 1, spinUs: 20 } },
  partBytes: 8 << 20,
})
const count = (stage: string, reason: string) =>
  workers
    .statistics()
    .flatMap(({ stages }) => stages.filter(({ name }) => name === stage))
    .reduce((sum, { drops }) => sum + (drops[reason] ?? 0), 0)

let odd = 0

/** Million packets a second. */
async function measure(way: Way, judgements: number): Promise<number> {
  await workers.change({ way, tables, judgements })
  await pause(SETTLE_MS)
  const [before, begin] = [count('done', 'done'), performance.now()]
  await pause(MEASURE_MS)
  const rate = (count('done', 'done') - before) / (performance.now() - begin) / 1000
  odd += count('odd', 'odd')
  await workers.change({ way: 'nobody', tables, judgements })
  return rate
}

const rows: Record<string, string | number>[] = []
const ratios: Record<string, number> = {}
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
    rows.push({ judgements, 'forwarded by': way, Mpps: median, least, most, nsPerPacket: 1000 / median })
  }
  // Round by round: what disturbs the machine disturbs the two of a round alike.
  const one = samples.get('one')!
  for (const [way, list] of samples)
    if (way !== 'one') ratios[`${way}, ${judgements}`] = spreadOf(list.map((rate, round) => rate / one[round]!)).median
}
await workers.close()
if (odd > 0) throw new Error(`${odd} packets were not forwarded`)
printReport({ name: 'flow-workers', rows, ratios })
