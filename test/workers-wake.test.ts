import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startWorkers } from '../src/engine/index.js'
import { WORKER_ROUNDS } from '../src/memory/index.js'
import { openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { restless } from './support/restless-worker.js'

test('a worker that is woken while it is about to sleep has another round, and does not sleep first', async () => {
  const bench = openBench()
  const { space, code, pool } = bench
  const workers = await startWorkers(restless, space, code, pool, { settings: { control: 0 } })
  try {
    const { regions } = workers.layout()
    const control = regions.find(({ name }) => name === 'worker sleeper control')!.offset
    const rounds = () => Atomics.load(space.words, (control + WORKER_ROUNDS) / 4)
    await workers.change({ control })
    const before = rounds()
    // One that sleeps has a round a second.
    await eventually('a hundred rounds', () => rounds() - before > 100)
  } finally {
    await workers.close()
  }
  bench.worker.close()
  assert.equal(bench.inUse(), 0)
})
