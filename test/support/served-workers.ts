/**
 * A program whose workers can be looked at by commands: a datagram of each of two flows every few
 * milliseconds, until it is told to end. A line on its standard input kills the worker of that name.
 */
import { createInterface } from 'node:readline'
import { serveEngine } from '../../src/control/index.js'
import { startWorkers } from '../../src/engine/index.js'
import { openBench } from './engine.js'
import { flowFrame } from './flow-packet.js'
import { served } from './served-plan.js'

const EVERY_MS = 5
const LENGTHS = [18, 25]

const bench = openBench({ 2048: 1024 })
const { space, code, pool } = bench
const workers = await startWorkers(served, space, code, pool, { settings: { tells: 'kind' } })
const control = await serveEngine({ name: 'two workers', space, engine: workers })
const [front, bundle] = [workers.to('front'), bench.bundle('sent')]
const packets = LENGTHS.map((bytes, index) =>
  flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(bytes), flow: index + 1 }),
)
const timer = setInterval(() => {
  bench.fill(bundle, packets)
  front.send(bundle)
  front.flush()
  bench.empty(bundle)
}, EVERY_MS)
const lines = createInterface(process.stdin).on('line', workers.kill)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  lines.close()
  process.stdin.destroy()
  control.close()
  await workers.close()
  bench.worker.close()
  process.exitCode = bench.inUse() === 0 ? 0 : 3
})
process.stdout.write('serving\n')
