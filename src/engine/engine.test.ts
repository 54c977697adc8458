import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { collect, once } from '../../test/support/stage-suite.js'
import { createLink } from '../device/index.js'
import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS } from '../memory/index.js'
import { count, discard, reflect } from '../stages/index.js'
import { draw, receive, send } from './graph.js'
import { type EngineOptions, type Graph, type RunningStage, type Stage, startEngine } from './index.js'

const packets = (count: number) => Array.from({ length: count }, (_, index) => new Uint8Array(60).fill(index))

function start({ space, code, worker }: EngineBench, graph: Graph, options: EngineOptions = {}) {
  return startEngine(space, code, worker, graph, options)
}

/** A stage of one output that a test makes up. */
function madeUp(name: string, open: () => RunningStage): Stage {
  return { name, outputs: ['out'], drops: [], kind: 'made up', settings: {}, start: open }
}

describe('the engine', () => {
  for (const touch of [true, false]) {
    it(`takes packets through a graph and back to where they came from (touch: ${touch})`, () => {
      const bench = openBench()
      const { space, code, worker } = bench
      const [near, far] = createLink(space, code, worker, 'wire')
      const passed = count('passed')
      const engine = start(bench, draw([receive(far), passed, reflect(), send(far)]), { bundle: 16, touch })
      const bundle = bench.bundle('a')
      bench.fill(bundle, packets(40))
      near.send(bundle)
      assert.deepEqual([engine.round(), engine.round(), engine.round(), engine.round()], [16, 16, 8, 0])
      assert.equal(near.receive(bundle, 64), 40)
      assert.deepEqual(bench.read(bundle), packets(40))
      assert.deepEqual(passed.read(), { packets: 40, bytes: 2400 })
      const [statistics] = engine.statistics()
      assert.deepEqual(statistics, {
        name: 'passed',
        packets: 40,
        bundles: 3,
        drops: {},
        watched: { packets: 0, ms: 0 },
        nanosecondsPerPacket: null,
        packetsPerBundle: 40 / 3,
      })
      bench.empty(bundle)
      engine.close()
      near.close()
      far.close()
      assert.equal(bench.inUse(), 0)
    })
  }

  it('drops what a device has no room for, and counts it', () => {
    const bench = openBench()
    const { space, code, worker } = bench
    const [near, far] = createLink(space, code, worker, 'wire', { slots: 16 })
    const bundle = bench.bundle('a')
    const engine = start(bench, draw([receive(once(bench, bundle)), send(far)]))
    bench.fill(bundle, packets(40))
    engine.round()
    assert.deepEqual(engine.statistics()[0]!.drops, { 'no room': 24 })
    assert.equal(near.receive(bundle, 64), 16)
    bench.empty(bundle)
    assert.equal(bench.inUse(), 0)
  })

  it('waits until a device has something', async () => {
    const bench = openBench()
    const [near, far] = createLink(bench.space, bench.code, bench.worker, 'wire')
    const bundle = bench.bundle('a')
    const engine = start(bench, draw([receive(far), discard('end')]))
    const woken = engine.wait(60_000)
    bench.fill(bundle, packets(1))
    near.send(bundle)
    near.flush()
    await woken
    assert.equal(engine.round(), 1)
  })

  it('measures time only while somebody watches', () => {
    const bench = openBench()
    const bundle = bench.bundle('a')
    const engine = start(bench, draw([receive(once(bench, bundle)), discard('end')]))
    const round = () => {
      bench.fill(bundle, packets(5))
      engine.round()
      return engine.statistics()[0]!.nanosecondsPerPacket
    }
    assert.equal(round(), null)
    engine.watch(true)
    const measured = round()
    assert.ok(measured !== null && measured > 0)
    engine.watch(false)
    assert.equal(round(), measured)
  })

  it('asks a stage again that has more than fits, and lets it give what it kept', () => {
    const bench = openBench()
    const { worker, space } = bench
    const bundle = bench.bundle('a')
    const kept = bench.bundle('kept')
    let copies = 0
    const move = (from: number, to: number) => {
      space.bytes.copyWithin(to, from, from + BUNDLE_BYTES)
      space.words[from / 4] = 0
    }
    // Each bundle becomes itself and two bundles of fresh frames; a second stage keeps one bundle until the flush.
    const more = madeUp('more', () => ({
      run(bundle) {
        if (bench.count(bundle) > 0) copies = 2
        else if (copies-- > 0) worker.take(bundle, 200)
      },
      hasMore: () => copies > 0,
    }))
    const keep = madeUp('keep', () => ({
      run(bundle) {
        if (bench.count(kept) === 0) move(bundle, kept)
      },
      flush: (bundle) => move(kept, bundle),
      close: () => bench.empty(kept),
    }))
    const end = count('end')
    const engine = start(bench, draw([receive(once(bench, bundle)), more, keep, end, discard('all')]))
    bench.fill(bundle, packets(3))
    engine.round()
    assert.deepEqual(end.read(), { packets: 403, bytes: 180 })
    assert.equal(bench.inUse(), 0)
  })

  it('finds, in the checked build, a stage that uses frames it has given back', () => {
    const bench = openBench()
    const bundle = bench.bundle('a')
    const { worker } = bench
    const careless = madeUp('careless', () => ({ run: (bundle) => worker.give(bundle + BUNDLE_DESCRIPTORS, 1) }))
    const engine = start(bench, draw([receive(once(bench, bundle)), careless, discard('end')]))
    bench.fill(bundle, packets(2))
    engine.round()
    assert.equal(bench.pool.faults().useAfterFree, 1)
    assert.equal(bench.pool.faults().doubleFree, 1)
  })
})

describe('a changed graph', () => {
  it('keeps the state and counters of stages that stay, closes those that go, and loses no frame', () => {
    const bench = openBench()
    const bundle = bench.bundle('a')
    const device = once(bench, bundle)
    const [first, again] = [count('seen'), count('seen')]
    const read: Uint8Array[] = []
    const engine = start(bench, draw([receive(device), first, discard('end')]))
    const layout = bench.space.layout()
    const round = (count: number) => {
      bench.fill(bundle, packets(count))
      engine.round()
    }
    round(3)
    engine.change(draw([receive(device), reflect(), again, collect(bench, 'read', read)]))
    round(4)
    assert.deepEqual(
      engine.statistics().map(({ name, packets }) => [name, packets]),
      [
        ['reflect', 4],
        ['seen', 7],
        ['read', 4],
      ],
    )
    assert.equal(first.read().packets, 7)
    assert.equal(read.length, 4)
    engine.change(draw([receive(device), first, discard('end')]))
    assert.equal(bench.space.layout().regions.length, layout.regions.length)
    engine.close()
    assert.equal(bench.inUse(), 0)
  })

  it('stays as it was where a new stage cannot start', () => {
    const bench = openBench()
    const bundle = bench.bundle('a')
    const device = once(bench, bundle)
    const engine = start(bench, draw([receive(device), discard('end')]))
    const layout = bench.space.layout()
    const broken: Stage = {
      ...count('broken'),
      start({ reserve }) {
        reserve('state', 'state', 64)
        throw new Error('it has no table')
      },
    }
    assert.throws(() => engine.change(draw([receive(device), count('new'), broken, discard('end')])), /no table/)
    assert.deepEqual(bench.space.layout(), layout)
    bench.fill(bundle, packets(5))
    assert.equal(engine.round(), 5)
    assert.equal(bench.inUse(), 0)
  })

  it('leaves nothing behind where a stage cannot start', () => {
    const bench = openBench()
    const broken: Stage = {
      ...count('broken'),
      start() {
        throw new Error('it has no table')
      },
    }
    const graph = draw([receive(once(bench, bench.bundle('a'))), count('before'), broken, discard('end')])
    const layout = bench.space.layout()
    assert.throws(() => start(bench, graph), /no table/)
    assert.deepEqual(bench.space.layout(), layout)
  })

  it('waits no longer than it is told where there is nothing to receive from', { timeout: 60_000 }, async () => {
    const engine = start(openBench(), draw())
    await engine.wait(1)
    assert.equal(engine.round(), 0)
    engine.close()
  })

  it('refuses bundles that there cannot be', () => {
    const bench = openBench()
    for (const bundle of [0, 257, 1.5])
      assert.throws(() => start(bench, draw(), { bundle }), {
        name: 'RangeError',
        message: `a bundle of ${bundle} packets is not possible; give 1 to 256`,
      })
  })
})
