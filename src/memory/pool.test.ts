import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { seededRandom } from '../../test/support/random.js'
import { BUNDLE_DESCRIPTORS, DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, METADATA_BYTES } from './formats.js'
import { createPool, createSpace, type FrameClass, OWNER_UNKNOWN, type PoolSize, type WorkerPool } from './index.js'

const CLASSES: readonly FrameClass[] = [512, 2048, 4096]

describe('the pool', () => {
  it('is not made of frames that there cannot be, nor a memory of such a size', () => {
    const wrong: [PoolSize, RegExp][] = [
      [{ 2048: -5 }, /^a pool of -5 frames of 2048 bytes is not possible; /],
      [{ 2048: 1.5 }, /^a pool of 1\.5 frames of 2048 bytes is not possible; /],
      [{ 1000: 10 } as PoolSize, /^there are no frames of 1000 bytes; choose from 2048, 512, /],
    ]
    const { space, code } = openBench()
    for (const [size, message] of wrong)
      assert.throws(() => createPool(space, code, size), { name: 'RangeError', message })
    for (const bytes of [0, -1, 8 * 2 ** 30, Number.NaN])
      assert.throws(() => createSpace(bytes), {
        name: 'RangeError',
        message: /^a memory of .* bytes is not possible; /,
      })
  })

  for (const checked of [true, false]) {
    it(`gives each frame to one owner at a time, to workers by turns (${checked ? 'checked' : 'plain'} code)`, (context) => {
      const random = seededRandom(context, 'pool')
      const size: PoolSize = { 512: 700, 2048: 1500, 4096: 90 }
      const bench = openBench(size, checked)
      const workers = [bench.worker, bench.pool.openWorker('second'), bench.pool.openWorker('third')]
      const bundle = bench.bundle('random')
      const owned = new Map<number, FrameClass>()
      for (let turn = 0; turn < 3000; turn++) {
        const worker = random.pick(workers)
        if (random.below(2) === 0) takeSome(bench, worker, bundle, random.pick(CLASSES), random.below(256), owned)
        else giveSome(bench, worker, bundle, random.below(256), owned)
        const inUse = bench.pool.balance().map(({ frames, free }) => frames - free)
        assert.equal(
          inUse.reduce((sum, count) => sum + count),
          owned.size,
        )
      }
      while (owned.size > 0) giveSome(bench, bench.worker, bundle, 256, owned)
      for (const worker of workers) worker.close()
      for (const { frameBytes, frames, free } of bench.pool.balance()) {
        assert.equal(frames, size[frameBytes] ?? 0)
        assert.equal(free, frames)
      }
      assertNoFault(bench)
    })
  }

  it('gives what it has when it is asked for more, counts what was missing, and goes on', () => {
    const bench = openBench({ 2048: 100 })
    const bundle = bench.bundle('all')
    assert.equal(bench.worker.take(bundle, 70), 70)
    assert.equal(bench.worker.take(bundle, 70), 30)
    assert.equal(bench.worker.take(bundle, 70), 0)
    assert.equal(bench.worker.take(bundle, 1, 4096), 0)
    assert.deepEqual(
      bench.pool.balance().flatMap(({ frameBytes, missing }) => (missing > 0 ? [[frameBytes, missing]] : [])),
      [
        [2048, 40 + 70],
        [4096, 1],
      ],
    )
    bench.empty(bundle)
    assert.equal(bench.worker.take(bundle, 100), 100)
    bench.empty(bundle)
    assertNoFault(bench)
  })

  it('gives the frame last that was used first', () => {
    const bench = openBench()
    const bundle = bench.bundle('lifo')
    bench.worker.take(bundle, 10)
    const first = addresses(bench, bundle)
    bench.empty(bundle)
    bench.worker.take(bundle, 10)
    assert.deepEqual(addresses(bench, bundle), first.toReversed())
    bench.empty(bundle)
  })

  it('puts metadata and headers into one cache line, and spreads lines over the sets of the cache', () => {
    const bench = openBench({ 512: 256, 2048: 256, 4096: 256 })
    const bundle = bench.bundle('lines')
    for (const [frameBytes, sets] of [
      [512, 16],
      [2048, 8],
      [4096, 8],
    ] as const) {
      bench.worker.take(bundle, 256, frameBytes)
      const packets = addresses(bench, bundle)
      for (const packet of packets) {
        assert.equal(packet & 3, 2, 'the IPv4 header behind 14 bytes is aligned')
        assert.equal((packet - METADATA_BYTES) >> 6, (packet + 14 + 20 + 3) >> 6, 'up to the ports')
      }
      // A first-level cache has 64 sets of 64 bytes.
      const used = new Set(packets.map((packet) => (packet >> 6) & 63))
      assert.equal(used.size, sets, `frames of ${frameBytes} bytes`)
      bench.empty(bundle)
    }
  })
})

describe('the checked build', () => {
  it('finds a frame that is given back twice', () => {
    const bench = openBench()
    const bundle = bench.bundle('twice')
    bench.worker.take(bundle, 1)
    bench.worker.give(bundle + BUNDLE_DESCRIPTORS, 1)
    bench.worker.give(bundle + BUNDLE_DESCRIPTORS, 1)
    assert.equal(bench.pool.faults().doubleFree, 1)
    assert.equal(bench.inUse(), 0, 'and the free list has it once')
  })

  it('finds what is written into a frame that was given back', () => {
    const bench = openBench()
    const bundle = bench.bundle('late')
    bench.worker.take(bundle, 1)
    const [packet] = addresses(bench, bundle)
    bench.empty(bundle)
    bench.space.bytes[packet! + 40] = 1
    bench.worker.take(bundle, 1)
    assert.equal(bench.pool.faults().writeAfterFree, 1)
    assert.equal(bench.pool.faults().lastFrame, packet! & -2048)
    bench.empty(bundle)
  })

  it('finds a bundle with a frame that was given back', () => {
    const bench = openBench()
    const bundle = bench.bundle('stale')
    bench.worker.take(bundle, 3)
    bench.worker.give(bundle + BUNDLE_DESCRIPTORS + DESCRIPTOR_BYTES, 1)
    bench.code.find('poolCheck')(bench.worker.address, bundle, 7)
    assert.equal(bench.pool.faults().useAfterFree, 1)
    assert.deepEqual(
      bench.pool.inUse().map(({ owner }) => owner),
      [7, 7],
    )
  })

  it('finds frames that nobody gives back, and who had them', () => {
    const bench = openBench()
    const bundle = bench.bundle('leak')
    bench.worker.take(bundle, 2)
    const wanted = addresses(bench, bundle).map((packet) => ({ frame: packet & -2048, owner: OWNER_UNKNOWN }))
    assert.deepEqual(bench.pool.inUse(), wanted)
  })

  it('finds, as the plain one does, an address that is in no frame, and drops it', () => {
    for (const checked of [true, false]) {
      const bench = openBench({ 2048: 64 }, checked)
      const bundle = bench.bundle('foreign')
      bench.worker.take(bundle, 9)
      bench.space.words[(bundle + BUNDLE_DESCRIPTORS + 5 * DESCRIPTOR_BYTES + DESCRIPTOR_ADDRESS) / 4] = 64
      bench.empty(bundle)
      assert.equal(bench.pool.faults().foreign, 1)
      assert.equal(bench.pool.faults().lastFrame, 64)
      assert.equal(bench.inUse(), 1, 'one is lost, those around it are back')
    }
  })
})

function takeSome(
  bench: EngineBench,
  worker: WorkerPool,
  bundle: number,
  frameBytes: FrameClass,
  count: number,
  owned: Map<number, FrameClass>,
): void {
  bench.space.words[bundle / 4] = 0
  const free = bench.pool.balance().find((each) => each.frameBytes === frameBytes)!.free
  const taken = worker.take(bundle, count, frameBytes)
  assert.ok(taken <= count && taken <= free)
  const packets = addresses(bench, bundle)
  assert.equal(packets.length, taken)
  for (const packet of packets) {
    const frame = packet & -frameBytes
    assert.ok(!owned.has(frame), 'nobody has this frame')
    owned.set(frame, frameBytes)
    // Anything, as a packet is.
    bench.space.bytes.fill(frame >>> 9, packet, frame + frameBytes)
  }
}

function giveSome(
  bench: EngineBench,
  worker: WorkerPool,
  bundle: number,
  count: number,
  owned: Map<number, FrameClass>,
): void {
  const frames = [...owned.keys()].slice(0, count)
  frames.forEach((frame, index) => {
    const at = bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES
    bench.space.words[(at + DESCRIPTOR_ADDRESS) / 4] = frame + (index % owned.get(frame)!)
    owned.delete(frame)
  })
  worker.give(bundle + BUNDLE_DESCRIPTORS, frames.length)
}

function addresses({ space, count }: EngineBench, bundle: number): number[] {
  return Array.from({ length: count(bundle) }, (_, index) => {
    return space.words[(bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + DESCRIPTOR_ADDRESS) / 4]!
  })
}

function assertNoFault({ pool }: EngineBench): void {
  assert.deepEqual(pool.faults(), { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0, lastFrame: 0 })
}
