import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { createLink } from '../device/index.js'
import { count, discard } from '../stages/index.js'
import { createTurn, draw, receive, startEngine, type TurnOptions } from './index.js'

/** An engine of bundles of 8 at the end of a wire, and a turn of it. */
function open(packets: number, options: TurnOptions) {
  const bench = openBench()
  const { space, code, worker } = bench
  const [near, far] = createLink(space, code, worker, 'wire')
  const passed = count('passed')
  const engine = startEngine(space, code, worker, draw([receive(far), passed, discard('end')]), { bundle: 8 })
  const bundle = bench.bundle('a')
  const give = (count: number) => {
    bench.fill(
      bundle,
      Array.from({ length: count }, () => new Uint8Array(60)),
    )
    near.send(bundle)
  }
  give(packets)
  const close = () => {
    engine.close()
    near.close()
    far.close()
    assert.equal(bench.inUse(), 0)
  }
  return { engine, turn: createTurn(engine, options), seen: () => passed.read().packets, give, close }
}

describe('a turn of an engine', () => {
  it('goes on while there are packets, for as many rounds as it may, and then sleeps', () => {
    const { turn, seen, close } = open(40, { rounds: 3 })
    assert.equal(turn(), true)
    assert.equal(seen(), 24)
    // A thread that stood still for the millisecond of a turn has the event loop have its own before it sleeps.
    for (let more = 0; turn(); more++) assert(more < 100)
    assert.equal(seen(), 40)
    close()
  })

  it('ends after the round in which it is asked to', () => {
    let asked = 0
    const { turn, seen, close } = open(40, { isAsked: () => ++asked === 2 })
    assert.equal(turn(), true)
    assert.equal(seen(), 16)
    close()
  })

  it('looks for packets before it sleeps, or never sleeps', () => {
    const looking = open(0, { spinUs: 1e7 })
    const { isReady } = looking.engine
    let looks = 0
    looking.engine.isReady = () => {
      if (++looks === 100) looking.give(5)
      return isReady()
    }
    assert.equal(createTurn(looking.engine, { spinUs: 1e7, rounds: 2 })(), true)
    assert.equal(looking.seen(), 5)
    looking.close()
    const restless = open(0, { spinUs: Number.POSITIVE_INFINITY, rounds: 7 })
    assert.equal(restless.turn(), true)
    restless.close()
  })
})
