import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { flowFrame } from '../../test/support/flow-packet.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomFlows } from '../../test/support/random-flows.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { stageMakers } from '../../test/support/stage-makers.js'
import { collect, once } from '../../test/support/stage-suite.js'
import { createLink } from '../device/index.js'
import { FLAG_CHECKSUM_MISSING, FLAG_TCP, FLAGS_SEGMENT_SHIFT, type PoolSize } from '../memory/index.js'
import { count, discard, divide, gro, handle, mirror, reflect, segment } from '../stages/index.js'
import { TCP_FLAG } from '../wire/index.js'
import { draw, type Graph, printTrace, receive, type Stage, send, startEngine, type TracedPacket } from './index.js'
import type { Judge } from './stage.js'

/** Follows packets of which the first byte says so. */
function firstByteIs({ space, packetAt }: EngineBench, wanted: (byte: number) => boolean): Judge {
  return (descriptors, count, verdicts) => {
    for (let index = 0; index < count; index++)
      space.words[verdicts / 4 + index] = wanted(space.bytes[packetAt(descriptors, index)]!) ? 0 : 0xffffffff
  }
}

const packets = (count: number, length = 60) =>
  Array.from({ length: count }, (_, index) => new Uint8Array(length).fill(index))

/** An engine over packets put in by hand. */
function open(
  drawGraph: (bench: EngineBench, device: ReturnType<typeof once>) => Graph,
  size: PoolSize = { 2048: 1024 },
) {
  const bench = openBench(size)
  const bundle = bench.bundle('sent')
  const device = once(bench, bundle)
  const engine = startEngine(bench.space, bench.code, bench.worker, drawGraph(bench, device), { bundle: 256 })
  const all = firstByteIs(bench, () => true)
  return {
    bench,
    device,
    engine,
    all,
    bundle,
    round(given: readonly Uint8Array[]) {
      bench.fill(bundle, given)
      engine.round()
    },
    close() {
      engine.close()
      assert.equal(bench.inUse(), 0)
      const { lastFrame: _, ...faults } = bench.pool.faults()
      assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
    },
  }
}

/** The steps of a printed trace: without what came. */
const way = (packet: TracedPacket) =>
  printTrace(packet)
    .split('\n')
    .slice(1, -1)
    .map((line) => line.trim())

describe('a trace', () => {
  it('names the device, the outputs, what changed, and the end', () => {
    const bench = openBench()
    const { space, code, worker } = bench
    const [near, far] = createLink(space, code, worker, 'wire', { slots: 2 })
    const even = divide(
      'even',
      firstByteIs(bench, (byte) => byte % 2 === 0),
    )
    const graph = draw([receive(far), even, reflect(), send(far)], ['even.matched', discard('end', 'not wanted')])
    const engine = startEngine(space, code, worker, graph)
    const trace = engine.trace({ judge: firstByteIs(bench, () => true), limit: 3 })
    const bundle = bench.bundle('given')
    const third = new Uint8Array(60).fill(3)
    third.set([9, 8], 4)
    bench.fill(bundle, [third, new Uint8Array(100)])
    near.send(bundle)
    engine.round()
    assert.equal(trace.isDone(), false)
    assert.equal(
      trace.take().map(printTrace).join(''),
      `1: 60 bytes from wire b: ${Buffer.from(third).toString('hex')}
   even ─ rest ─▶ reflect
   reflect ─ out ─▶ send wire b: bytes 4 to 11 changed
   send wire b: sent
2: 100 bytes from wire b: ${'00'.repeat(64)}
   even ─ matched ─▶ end
   end: dropped, not wanted
`,
    )
    bench.fill(bundle, [third])
    near.send(bundle)
    engine.round()
    bench.fill(bundle, [third])
    near.send(bundle)
    const [before] = trace.take()
    assert.deepEqual([before!.number, before!.steps.at(-1)!.went], [3, 'sent'])
    const last = engine.trace({ judge: firstByteIs(bench, () => true), limit: 1 })
    engine.round()
    assert.deepEqual(way(last.take()[0]!).slice(-1), ['send wire b: dropped, no room'])
    engine.close()
    near.close()
    far.close()
    assert.equal(bench.inUse(), 0)
  })

  it('ends at its limit, in the middle of a bundle, and leaves nothing behind', () => {
    const { bench, engine, all, round, close } = open((_, device) => draw([receive(device), discard('end')]))
    const layout = bench.space.layout()
    const trace = engine.trace({ judge: all, limit: 2 })
    assert.throws(() => engine.trace({ judge: all, limit: 2 }), /engine is traced already; stop the other trace/)
    round(packets(5))
    assert.ok(trace.isDone())
    assert.deepEqual(
      trace.take().map(({ number }) => number),
      [1, 2],
    )
    assert.deepEqual(trace.take(), [])
    assert.deepEqual(bench.space.layout(), layout)
    trace.stop()
    const other = engine.trace({ judge: all, limit: 2 })
    other.stop()
    round(packets(1))
    assert.deepEqual(other.take(), [])
    assert.equal(engine.statistics()[0]!.packets, 6)
    close()
  })

  it('goes on in a changed graph', () => {
    const { device, engine, all, round, close } = open((_, device) => draw([receive(device), discard('end')]))
    const trace = engine.trace({ judge: all, limit: 2 })
    round(packets(1))
    engine.change(draw([receive(device), count('new'), discard('end')]))
    round(packets(1))
    assert.deepEqual(trace.take().map(way), [['end: dropped, end'], ['new ─ out ─▶ end', 'end: dropped, end']])
    close()
  })

  it('follows copies, and tells them from the packet', () => {
    const { engine, all, round, close } = open((_, device) =>
      draw([receive(device), mirror('mirror'), discard('end')], ['mirror.copies', discard('copies', 'seen')]),
    )
    const trace = engine.trace({ judge: all, limit: 1 })
    round(packets(1))
    assert.deepEqual(trace.take().map(way), [
      [
        'mirror ─ copies ─▶ copies: in another frame, 60 bytes',
        'copies: dropped, seen',
        'mirror ─ out ─▶ end',
        'end: dropped, end',
      ],
    ])
    close()
  })

  it('tells lengths and what a handler has not answered', () => {
    const answer = handle('handler', (bundle) => {
      for (let packet = 0; packet < bundle.count; packet++)
        if (bundle.length(packet) > 50) bundle.answer(packet, bundle.length(packet) + 4)
    })
    const { engine, all, round, close } = open((_, device) => draw([receive(device), answer, discard('end')]))
    const trace = engine.trace({ judge: all, limit: 2 })
    round([new Uint8Array(60), new Uint8Array(40)])
    assert.deepEqual(trace.take().map(way), [
      ['handler ─ answered ─▶ end: 64 bytes instead of 60', 'end: dropped, end'],
      ['handler: dropped, unanswered'],
    ])
    close()
  })

  it('follows what is merged: alone, into one that is followed, and into one that is not', () => {
    const { engine, all, bench, round, close } = open(
      (_, device) => draw([receive(device), gro('gro'), count('out'), discard('end')]),
      { 2048: 64, 65536: 4 },
    )
    const third = firstByteIs(bench, () => true)
    const skipOne: Judge = (descriptors, count, verdicts) => {
      third(descriptors, count, verdicts)
      bench.space.words[verdicts / 4] = 0xffffffff
    }
    const segments = [0, 1, 2].map((index) => tcpSegment(100, 1 + index * 100))
    const one = engine.trace({ judge: skipOne, limit: 2 })
    round(segments)
    assert.ok(one.isDone())
    assert.deepEqual(one.take().map(way), [
      [
        'gro: merged into an earlier packet, which has 254 bytes now',
        'gro ─ out ─▶ out: at the end of the round, 354 bytes',
        'out ─ out ─▶ end',
        'end: dropped, end',
      ],
      ['gro: merged into packet 1, which has 354 bytes now'],
    ])
    const other = engine.trace({ judge: all, limit: 3 })
    round([...segments.slice(0, 2), tcpSegment(100, 201, TCP_FLAG.ack | TCP_FLAG.push)])
    assert.deepEqual(other.take().map(way), [
      ['gro: kept', 'gro ─ out ─▶ out: when another packet came, 354 bytes', 'out ─ out ─▶ end', 'end: dropped, end'],
      ['gro: merged into packet 1, which has 254 bytes now'],
      ['gro: merged into packet 1, which has 354 bytes now'],
    ])
    close()
  })

  it('follows what others make a stage give, also when they are not followed', () => {
    const { engine, bench, round, close } = open(
      (_, device) => draw([receive(device), gro('gro'), count('out'), discard('end')]),
      { 2048: 64, 65536: 4 },
    )
    const layout = bench.space.layout()
    const trace = engine.trace({ judge: firstByteIs(bench, (byte) => byte === 2), limit: 1 })
    // The last does not follow the others: the merged one has to go.
    round([tcpSegment(100), tcpSegment(100, 101), tcpSegment(100, 999)])
    assert.deepEqual(trace.take().map(way), [
      ['gro: kept', 'gro ─ out ─▶ out: when another packet came, 254 bytes', 'out ─ out ─▶ end', 'end: dropped, end'],
    ])
    assert.deepEqual(bench.space.layout(), layout)
    assert.equal(engine.statistics()[1]!.packets, 2)
    close()
  })

  it('says what is kept, and follows all parts of what is cut', () => {
    const { bench, bundle, engine, all, round, close } = open(
      (_, device) => draw([receive(device), gro('gro'), segment('segment'), count('out'), discard('end')]),
      { 2048: 64, 65536: 4 },
    )
    const trace = engine.trace({ judge: all, limit: 2 })
    round([tcpSegment(1000)])
    assert.deepEqual(trace.take().map(way), [
      [
        'gro: kept',
        'gro ─ out ─▶ segment: at the end of the round, 1054 bytes',
        'segment ─ out ─▶ out',
        'out ─ out ─▶ end',
        'end: dropped, end',
      ],
    ])
    // 1,600 bytes of payload that a TAP device has left to cut into segments of 1,000.
    bench.fill(bundle, [tcpSegment(1600)])
    const flags = FLAG_TCP | FLAG_CHECKSUM_MISSING | ((34 >> 1) << 8) | (1000 << FLAGS_SEGMENT_SHIFT)
    bench.space.words[(bundle + 16 + 12) / 4] = flags >>> 0
    engine.round()
    const [cut] = trace.take()
    assert.deepEqual(cut!.flags, ['checksum missing', 'to be cut into 1000 bytes each'])
    assert.deepEqual(way(cut!), [
      'gro ─ out ─▶ segment',
      'segment ─ out ─▶ out: 2 packets in other frames, of 1054, 654 bytes',
      'out ─ out ─▶ end: 2 packets',
      'end: 2 packets dropped, end',
    ])
    close()
  })
})

const tcpSegment = (payload: number, sequence = 1, flags: number = TCP_FLAG.ack) =>
  flowFrame({ family: 4, protocol: 'tcp', payload: new Uint8Array(payload), sequence, flags })

/** An engine with one of the stages, and what comes out by each output. */
function openStage(make: (bench: EngineBench) => readonly Stage[]) {
  const outputs: Uint8Array[][] = []
  const opened = open(
    (bench, device) => {
      const line = make(bench)
      const ends = line.at(-1)!.outputs.map((output) => {
        outputs.push([])
        return [`stage.${output}`, collect(bench, `to ${output}`, outputs.at(-1)!)] as const
      })
      return draw([receive(device), ...line], ...ends)
    },
    { 2048: 2048, 65536: 64 },
  )
  return { ...opened, outputs }
}

describe('packets meet the same whether they are traced or not', () => {
  for (const [name, make] of Object.entries(stageMakers)) {
    it(name, (context) => {
      const random = seededRandom(context, 'engine/trace')
      const [plain, traced] = [openStage(make), openStage(make)]
      const layout = traced.bench.space.layout()
      let found = 0
      for (let round = 0; round < 40; round++) {
        const given = randomPackets(random)
        const [salt, share] = [random.below(256), random.pick([1, 2, 10])]
        const judge = firstByteIs(traced.bench, (byte) => (byte + salt) % share === 0)
        const trace = random.below(4) === 0 ? null : traced.engine.trace({ judge, limit: 1 + random.below(100) })
        plain.round(given)
        traced.round(given)
        assert.deepEqual(traced.outputs, plain.outputs)
        trace?.stop()
        for (const { steps } of trace?.take() ?? []) {
          found++
          assert.ok(steps.length > 0 && steps.at(-1)!.went !== 'kept', 'the way has an end')
        }
        for (const packets of [...plain.outputs, ...traced.outputs]) packets.splice(0)
      }
      const counted = ({ engine }: typeof plain) =>
        engine.statistics().map(({ name, packets, drops }) => ({ name, packets, drops }))
      assert.deepEqual(counted(traced), counted(plain))
      assert.deepEqual(traced.bench.space.layout(), layout)
      context.diagnostic(`${found} packets followed`)
      assert.ok(found > 100)
      plain.close()
      traced.close()
    })
  }
})

/** Flows that merge, and anything else, in one bundle. */
function randomPackets(random: Random): Uint8Array[] {
  const flows = randomFlows(random, 1 + random.below(8), 1 + random.below(128)).map(flowFrame)
  const others = Array.from({ length: random.below(128) }, () => randomPacket(random).bytes.slice(0, 1500))
  return random.below(2) === 0 ? [...flows, ...others] : [...others, ...flows]
}
