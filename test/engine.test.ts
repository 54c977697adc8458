import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createLink } from '../src/device/index.js'
import { draw, receive, send, startEngine } from '../src/engine/index.js'
import { count, reflect } from '../src/stages/index.js'
import { openBench } from './support/engine.js'

it('takes a bundle through a graph and back to where it came from', () => {
  const bench = openBench()
  const { space, code, worker } = bench
  const [near, far] = createLink(space, code, worker, 'wire')
  const passed = count('passed')
  const engine = startEngine(space, code, worker, draw([receive(far), passed, reflect(), send(far)]))
  const bundle = bench.bundle('a')
  bench.fill(
    bundle,
    Array.from({ length: 10 }, (_, i) => Uint8Array.from({ length: 60 }, () => i)),
  )
  near.send(bundle)
  assert.equal(engine.round(), 10)
  assert.equal(near.receive(bundle, 64), 10)
  assert.deepEqual(passed.read(), { packets: 10, bytes: 600 })
  bench.empty(bundle)
  assert.equal(bench.inUse(), 0)
})
