import assert from 'node:assert/strict'
import { it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { createLink } from '../device/index.js'
import { draw, receive, send, startEngine } from '../engine/index.js'
import { earlyDrop } from './early-drop.js'

it('a verdict beyond the rules that a stage was told of chooses nothing', () => {
  const bench = openBench()
  const { space, code, worker } = bench
  const [near, far] = createLink(space, code, worker, 'wire')
  // Rules in turn: none, the one that drops, the next, and some far beyond the stage's table.
  const rules = [-1, 0, 1, 63, 1000, 0x7fff_ffff]
  const judge = (_: number, count: number, verdicts: number) => {
    for (let packet = 0; packet < count; packet++) space.words[verdicts / 4 + packet] = rules[packet % rules.length]!
  }
  const graph = draw([receive(far), earlyDrop('first', judge), send(far)])
  const engine = startEngine(space, code, worker, graph)
  const sent = Array.from({ length: 60 }, (_, packet) => new Uint8Array(60).fill(packet))
  const bundle = bench.bundle('sent')
  bench.fill(bundle, sent)
  near.send(bundle)
  assert.equal(engine.round(), sent.length)
  near.receive(bundle, 64)
  assert.deepEqual(
    bench.read(bundle),
    sent.filter((_, packet) => packet % rules.length !== 1),
  )
  bench.empty(bundle)
  engine.close()
  assert.equal(bench.inUse(), 0)
})
