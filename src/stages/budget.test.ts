import assert from 'node:assert/strict'
import { it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { seededRandom } from '../../test/support/random.js'

it('lets go on what a plain token bucket lets go on, the first of each bundle', (context) => {
  const random = seededRandom(context, 'budget')
  const bench = openBench()
  const { space, code, worker } = bench
  const bundle = bench.bundle('in')
  const state = space.reserve({ name: 'state', kind: 'state', bytes: 16 }).offset
  const drops = space.reserve({ name: 'drops', kind: 'counters', bytes: 8 }).offset
  const [perMs, burst] = [1 + random.below(20), 1 + random.below(100)]
  let [tokens, filled, now, dropped] = [burst, 0, 0, 0]
  space.counters[state / 8] = burst
  for (let turn = 0; turn < 2000; turn++) {
    now += random.below(1000) / 64
    const packets = Array.from({ length: random.below(257) }, (_, index) => Uint8Array.of(index, turn))
    bench.fill(bundle, packets)
    tokens = Math.min(burst, tokens + (now - filled) * perMs)
    filled = now
    const within = Math.min(packets.length, Math.floor(tokens))
    tokens -= within
    dropped += packets.length - within
    code.find('budget')(worker.address, bundle, state, now, perMs, burst, drops)
    assert.deepEqual(bench.read(bundle), packets.slice(0, within))
    bench.empty(bundle)
  }
  assert.equal(space.counters[drops / 8], dropped)
  assert.equal(bench.inUse(), 0)
})
