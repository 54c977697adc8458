import assert from 'node:assert/strict'
import { it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { seededRandom } from '../../test/support/random.js'
import { BUNDLE_DESCRIPTORS } from '../memory/index.js'
import { attachConsumer, attachProducer, createSharedQueue, packetsInQueue } from './shared-queue.js'

for (const locking of ['lockless', 'locked'] as const) {
  it(`a ${locking} queue gives what was put in, in its order, and takes no more than it has room for`, (context) => {
    const random = seededRandom(context, 'shared-queue')
    const bench = openBench({ 2048: 512 })
    const { space, code, worker } = bench
    const queue = createSharedQueue(space, 'test', { slots: 64, producers: 3, locking })
    const producers = [0, 1, 2].map((number) => attachProducer(space, code, queue, number))
    const consumer = attachConsumer(space, code, queue, worker)
    const bundle = bench.bundle('sent')
    const arrivals = bench.bundle('arrivals')
    const addresses = (at: number) =>
      Array.from({ length: bench.count(at) }, (_, index) => bench.packetAt(at + BUNDLE_DESCRIPTORS, index))
    const inside: number[] = []
    for (let turn = 0; turn < 5000; turn++) {
      if (random.below(2) === 0) {
        bench.fill(
          bundle,
          Array.from({ length: random.pick([1, 1, 8, random.below(100)]) }, () => new Uint8Array(60)),
        )
        const offered = addresses(bundle)
        const pushed = random.pick(producers).push(bundle)
        const room = queue.slots - inside.length
        assert.ok(pushed <= room, `${pushed} went where there was room for ${room}`)
        assert.ok(pushed >= Math.min(offered.length, room - (locking === 'locked' ? 0 : queue.slots / 8)))
        assert.deepEqual(addresses(bundle), offered.slice(pushed))
        inside.push(...offered.slice(0, pushed))
        bench.empty(bundle)
      } else {
        const most = 1 + random.below(100)
        assert.equal(consumer.pull(arrivals, most), Math.min(most, inside.length))
        assert.deepEqual(addresses(arrivals), inside.splice(0, most))
        bench.empty(arrivals)
      }
      assert.deepEqual([...packetsInQueue(space, queue)], inside)
      assert.equal(consumer.isReady(), inside.length > 0)
    }
    while (consumer.pull(arrivals, 64) > 0) bench.empty(arrivals)
    assert.equal(bench.inUse(), 0)
    queue.close()
  })
}

it('one exchange and one store put a bundle into the lockless queue, a load takes it out', () => {
  const bench = openBench()
  const { space, code } = bench
  const counted = (locking: 'lockless' | 'locked') => {
    const queue = createSharedQueue(space, locking, { producers: 1, locking })
    const [producer, consumer] = [attachProducer(space, code, queue, 0), attachConsumer(space, code, queue, null)]
    const bundle = bench.bundle(locking)
    space.words[bundle / 4] = 64
    producer.push(bundle)
    consumer.pull(bundle, 64)
    return [producer.counts(), consumer.counts()]
  }
  assert.deepEqual(counted('lockless'), [
    { loads: 0, stores: 1, exchanges: 1, sleeps: 0 },
    { loads: 1, stores: 0, exchanges: 0, sleeps: 0 },
  ])
  assert.deepEqual(counted('locked'), [
    { loads: 0, stores: 1, exchanges: 1, sleeps: 0 },
    { loads: 0, stores: 1, exchanges: 1, sleeps: 0 },
  ])
})

it('a producer that the queue was not made for is refused in one sentence', () => {
  const { space, code } = openBench()
  const queue = createSharedQueue(space, 'test', { producers: 2 })
  assert.throws(
    () => attachProducer(space, code, queue, 2),
    /the shared queue has 2 producers; make it for more than 2/,
  )
})
