import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { assertLikeTwin, once } from '../../test/support/stage-suite.js'
import { countTwin, discardTwin, divideTwin, earlyDropTwin, reflectTwin } from '../../test/support/stage-twins.js'
import { placeMatcher } from '../codegen/index.js'
import { compileFilter } from '../compile.js'
import { draw, receive, startEngine } from '../engine/index.js'
import { interpret } from '../ir/index.js'
import { count, discard, divide, earlyDrop, reflect } from './index.js'

/** From nothing to more than a header, of which the first bytes are few and the rest anything. */
function anyPacket(random: Random): Uint8Array {
  if (random.below(2) === 0) return randomPacket(random).bytes.slice(0, 1500)
  return Uint8Array.from({ length: random.below(40) }, () => random.below(256))
}

/** A compiled list of rules, and what the interpreter says of a packet. */
function matcherOf({ space }: EngineBench, ...rules: readonly string[]) {
  const { graph, optimized } = compileFilter(rules)
  const verdict = (bytes: Uint8Array) => interpret(graph, { bytes, wireLength: bytes.length }) ?? -1
  return { judge: placeMatcher(space, 'rules', optimized).judge, verdict }
}

describe('stages do what their plain twins do, on random bundles', () => {
  it('count', (context) => {
    assertLikeTwin(seededRandom(context, 'stages'), () => ({ stage: count('count'), twin: countTwin }), anyPacket)
  })

  it('reflect', (context) => {
    assertLikeTwin(seededRandom(context, 'stages'), () => ({ stage: reflect(), twin: reflectTwin }), anyPacket)
  })

  it('discard', (context) => {
    const open = () => ({ stage: discard('end', 'why'), twin: discardTwin('why') })
    assertLikeTwin(seededRandom(context, 'stages'), open, anyPacket)
  })

  it('early drop', (context) => {
    const random = seededRandom(context, 'stages')
    const drops = [true, false, true]
    assertLikeTwin(
      random,
      (bench) => {
        const { judge, verdict } = matcherOf(bench, 'udp', 'ip[6:2] = 0', 'ip or arp')
        return { stage: earlyDrop('drop', judge, drops), twin: earlyDropTwin(verdict, drops) }
      },
      anyPacket,
    )
  })

  it('divide', (context) => {
    assertLikeTwin(
      seededRandom(context, 'stages'),
      (bench) => {
        const { judge, verdict } = matcherOf(bench, 'ip')
        return { stage: divide('ip', judge), twin: divideTwin((packet) => verdict(packet) === 0) }
      },
      anyPacket,
    )
  })
})

it('count tells packets and bytes while it runs and when it is closed', () => {
  const bench = openBench()
  const counter = count('seen')
  assert.deepEqual(counter.read(), { packets: 0, bytes: 0 })
  const bundle = bench.bundle('sent')
  const graph = draw([receive(once(bench, bundle)), counter, discard('end')])
  const engine = startEngine(bench.space, bench.code, bench.worker, graph)
  bench.fill(
    bundle,
    [60, 100, 1500].map((length) => new Uint8Array(length)),
  )
  engine.round()
  assert.deepEqual(counter.read(), { packets: 3, bytes: 1660 })
  engine.close()
  assert.deepEqual(counter.read(), { packets: 3, bytes: 1660 })
})
