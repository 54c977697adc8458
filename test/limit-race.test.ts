import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { policySource } from '../src/control/policy-source.js'
import { loadPolicy } from '../src/loader/index.js'
import { limit, policy } from '../src/policy/index.js'
import type { RaceOrders } from './support/limit-racer.js'
import { skipUnless } from './support/require.js'

const RACER = new URL('./support/limit-racer.js', import.meta.url)
const KEYS = 100_000
const FRAME_BYTES = 1514
/** A source's offset in an Ethernet frame with IPv4. */
const SOURCE_AT = 26
const needsTwoCpus = availableParallelism() < 2 && 'needs two CPUs'

describe('the first packets of a key, on two CPUs at the same instant', {
  skip: skipUnless('root') || needsTwoCpus,
}, () => {
  it('share one bucket', async (context) => {
    // A bucket of one packet that nobody sees grow, however long a thread stands still: two that pass have had two buckets.
    const value = policy(
      { tables: { limits: { entries: 2 ** 19, whenFull: 'drop' } } },
      limit('ip', { per: 'source', rate: '1 B/s', burst: `${FRAME_BYTES} B` }),
    )
    const loaded = loadPolicy(policySource(value, { sets: new Map(), interfaceIndex: () => 1 }))
    const frame = new Uint8Array(FRAME_BYTES)
    frame.set([8, 0, 0x45, 0, 5, 220, 0, 0, 0, 0, 64, 17], 12)
    const arrived = new Int32Array(new SharedArrayBuffer(8))
    const passed = [0, 1].map(() => new Uint8Array(new SharedArrayBuffer(KEYS)))
    const racers = passed.map((column, thread) => {
      const orders = { fd: loaded.program.fd, frame, keyAt: SOURCE_AT, keys: KEYS, thread, arrived, passed: column }
      return new Worker(RACER, { workerData: orders satisfies RaceOrders })
    })
    await Promise.all(racers.map((racer) => new Promise((resolve) => racer.once('message', resolve))))
    const { tableFull } = loaded.losses()
    loaded.close()
    let [one, both] = [0, 0]
    for (let key = 0; key < KEYS; key++) {
      const sum = passed[0]![key]! + passed[1]![key]!
      if (sum === 1) one++
      if (sum === 2) both++
    }
    context.diagnostic(`of ${KEYS} keys ${one} passed one packet, ${both} two`)
    assert.equal(tableFull, 0)
    assert.equal(both, 0)
  })
})
