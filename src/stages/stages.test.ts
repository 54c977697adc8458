import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { assertLikeTwin, once } from '../../test/support/stage-suite.js'
import {
  countTwin,
  discardTwin,
  divideTwin,
  earlyDropTwin,
  listenTwin,
  mirrorTwin,
  reflectTwin,
  sampleTwin,
} from '../../test/support/stage-twins.js'
import { placeMatcher } from '../codegen/index.js'
import { compileFilter } from '../compile.js'
import { draw, receive, startEngine } from '../engine/index.js'
import { interpret } from '../ir/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  FLAG_CHECKSUM_GOOD,
  TIME_SECONDS_BEFORE,
} from '../memory/index.js'
import {
  budget,
  count,
  discard,
  divide,
  earlyDrop,
  LISTEN_SCRATCH_BYTES,
  LISTENED,
  type ListenOptions,
  listen,
  mirror,
  observe,
  reflect,
  sample,
  steer,
} from './index.js'

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

function listenOptions({ space }: EngineBench, judge: ListenOptions['judge'], action: ListenOptions['action']) {
  const counters = space.reserve({ name: 'heard', kind: 'counters', bytes: LISTENED.all }).offset
  const scratch = space.reserve({ name: 'scratch', kind: 'state', bytes: LISTEN_SCRATCH_BYTES }).offset
  return { judge, action, counters, scratch }
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

  it('mirror', (context) => {
    assertLikeTwin(seededRandom(context, 'stages'), () => ({ stage: mirror('mirror'), twin: mirrorTwin }), anyPacket)
  })

  for (const action of ['drop', 'count', 'mirror'] as const)
    it(`listen to ${action}, with what it has been about`, (context) => {
      const heard: Uint8Array[] = []
      let counted = () => [0]
      assertLikeTwin(
        seededRandom(context, 'stages'),
        (bench) => {
          const { judge, verdict } = matcherOf(bench, 'udp or ip[6:2] = 0')
          const options = listenOptions(bench, judge, action)
          counted = () => [...bench.space.counters.slice(options.counters / 8, options.counters / 8 + 3)]
          const twin = listenTwin(action, (packet) => verdict(packet) >= 0 && heard.push(packet) > 0)
          return { stage: listen('listen', options), twin }
        },
        anyPacket,
      )
      const bytes = heard.reduce((sum, { length }) => sum + length, 0)
      assert.deepEqual(counted(), [heard.length, bytes, action === 'mirror' ? heard.length : 0])
    })

  it('sample', (context) => {
    const random = seededRandom(context, 'stages')
    const [oneIn, bytes, seed] = [1 + random.below(5), random.below(200), 1 + random.below(2 ** 32 - 1)]
    const open = () => ({ stage: sample('sample', { oneIn, bytes, seed }), twin: sampleTwin(oneIn, bytes, seed) })
    assertLikeTwin(random, open, anyPacket)
  })

  it('observe', (context) => {
    const open = () => ({ stage: observe('look', () => {}), twin: countTwin })
    assertLikeTwin(seededRandom(context, 'stages'), open, anyPacket)
  })
})

it('copies have the length on the wire, flags and time of the packet, and are counted, also those that no frame was for', () => {
  const bench = openBench({ 512: 4, 2048: 4 })
  const { words, bytes } = bench.space
  const bundle = bench.bundle('sent')
  const copying = mirror('copying')
  const seen: number[][] = []
  const note = (address: number) => {
    const at = words[(address + BUNDLE_DESCRIPTORS) / 4]!
    seen.push([...words.slice(address / 4 + 5, address / 4 + 8), ...bytes.slice(at - TIME_SECONDS_BEFORE, at + 200)])
  }
  const graph = draw(
    [receive(once(bench, bundle)), copying, observe('one', note), discard('end')],
    ['copying.copies', observe('other', note), discard('copies')],
  )
  const engine = startEngine(bench.space, bench.code, bench.worker, graph)
  bench.fill(bundle, [new Uint8Array(200).fill(9), new Uint8Array(200), new Uint8Array(1400), new Uint8Array(1400)])
  words[(bundle + BUNDLE_DESCRIPTORS + DESCRIPTOR_WIRE) / 4] = 9000
  words[(bundle + BUNDLE_DESCRIPTORS + DESCRIPTOR_FLAGS) / 4] = FLAG_CHECKSUM_GOOD
  const at = words[(bundle + BUNDLE_DESCRIPTORS) / 4]!
  bytes.fill(5, at - TIME_SECONDS_BEFORE, at)
  engine.round()
  assert.deepEqual(seen[0], seen[1])
  assert.equal(copying.read(), 2, 'what is longer has no frame left')
  assert.deepEqual(engine.statistics().find(({ name }) => name === 'copying')!.drops, { 'no frame': 2 })
  engine.close()
  assert.equal(copying.read(), 2)
  assert.equal(bench.inUse(), 0)
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

it('stages that could do nothing are refused when they are made', () => {
  assert.throws(() => steer('flows', 0), {
    name: 'RangeError',
    message: /^flows cannot share packets out to 0 outputs; /,
  })
  assert.throws(() => sample('some', { oneIn: 0 }), {
    name: 'RangeError',
    message: /^some cannot take one packet in 0; /,
  })
  assert.throws(() => budget('flood', { packetsPerSecond: 10, burst: 0 }), {
    name: 'RangeError',
    message: /^flood cannot let 10 packets a second go on, 0 at once; /,
  })
})
