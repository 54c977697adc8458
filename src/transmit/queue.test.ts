import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { testDevice } from '../../test/support/device-suite.js'
import { openBench } from '../../test/support/engine.js'
import { flowFrame } from '../../test/support/flow-packet.js'
import { openQueueBench } from '../../test/support/queue-bench.js'
import { seededRandom } from '../../test/support/random.js'
import { createLink } from '../device/index.js'
import { fifo, openProducer, openQueue, priority, tokenBucket } from './index.js'
import { createSharedQueue } from './shared-queue.js'

for (const doorbell of ['burst', 'packet'] as const) {
  testDevice(`queue before a link, kicked for a ${doorbell}`, ({ space, code, worker }) => {
    const ends = createLink(space, code, worker, 'link', { slots: 2048 })
    const options = { doorbell, byteLimit: 'off', discipline: fifo({ packets: 2000 }) } as const
    const [device, peer] = ends.map((end) => openQueue(space, code, worker, end, options))
    return { device: device!, peer: peer! }
  })
}

const numbered = (count: number, bytes = 60, first = 0) =>
  Array.from({ length: count }, (_, index) => {
    const packet = new Uint8Array(bytes)
    new DataView(packet.buffer).setUint32(20, first + index)
    return packet
  })
const numberOf = (packet: Uint8Array) => new DataView(packet.buffer).getUint32(20)

describe('a queue', () => {
  it('drops what is beyond its limit in packets or bytes, and counts it', () => {
    for (const [limits, kept] of [
      [{ packets: 100 }, 100],
      [{ bytes: 6000 }, 100],
    ] as const) {
      const { queue, send, arrived, close } = openQueueBench({ discipline: fifo(limits), byteLimit: 'off' }, 16)
      send(numbered(300))
      assert.equal(queue.queued().packets, kept)
      const out = []
      for (let round = 0; round < 100; round++) {
        queue.flush()
        out.push(...arrived())
      }
      // What the link's ring takes before the queue fills is not in the queue.
      assert.deepEqual(
        out.map(numberOf),
        Array.from({ length: kept + 16 }, (_, index) => index),
      )
      assert.deepEqual(queue.statistics().drops, { 'queue full': 300 - kept - 16, codel: 0 })
      assert.equal(close(), 0)
    }
  })

  it('lets what is urgent go first, by class of service and by mark', () => {
    const frame = (service: number, flow: number) =>
      flowFrame({ family: flow % 2 ? 4 : 6, protocol: 'udp', payload: Uint8Array.of(flow), service, flow })
    const [urgent, plain, background] = [46 << 2, 0, 8 << 2]
    const { queue, send, arrived, close } = openQueueBench({ discipline: priority(), byteLimit: 'off' }, 1)
    send([frame(plain, 9)])
    send([background, plain, urgent, background, plain, urgent].map(frame))
    const order: number[] = []
    for (let round = 0; round < 20; round++) {
      queue.flush()
      order.push(...arrived().map((packet) => packet.at(-1)!))
    }
    assert.deepEqual(order, [9, 2, 5, 1, 4, 0, 3])
    assert.equal(close(), 0)

    const marked = openQueueBench({ discipline: priority({ by: 'mark' }), byteLimit: 'off' }, 1)
    marked.send(numbered(1))
    for (const mark of [7, 1, 0]) marked.send(numbered(1, 60, mark), mark)
    const marks: number[] = []
    for (let round = 0; round < 20; round++) {
      marked.queue.flush()
      marks.push(...marked.arrived().map(numberOf))
    }
    assert.deepEqual(marks, [0, 0, 1, 7])
    assert.equal(marked.close(), 0)
  })

  it('lets out so many bits a second, and says when it is due', () => {
    const discipline = tokenBucket({ bitsPerSecond: 8e6, burstBytes: 3000 }, fifo({ packets: 4000 }))
    const { queue, send, arrived, clock, close } = openQueueBench({ discipline, byteLimit: 'off' })
    send(numbered(2000, 1000))
    queue.flush()
    // The burst, and one packet that goes into debt.
    assert.equal(arrived().length, 4)
    assert.equal(queue.isDue!(), false)
    let packets = 4
    for (let ms = 1; ms <= 1000; ms++) {
      clock.ms++
      if (queue.isDue!()) queue.flush()
      packets += arrived().length
      assert.ok(Math.abs(packets - 3 - ms) <= 1, `${packets} packets of 1000 bytes after ${ms} ms at 1000 bytes a ms`)
    }
    assert.equal(close(), 0)
  })

  it('keeps the rate where it is woken late, and has no more than the burst after a pause', () => {
    const discipline = tokenBucket({ bitsPerSecond: 80e6, burstBytes: 10_000 }, fifo({ packets: 4000 }))
    const { queue, send, arrived, clock, close } = openQueueBench({ discipline, byteLimit: 'off' })
    send(numbered(2000, 1000))
    queue.flush()
    let packets = arrived().length
    for (let step = 0; step < 40; step++) {
      clock.ms += 3
      queue.flush()
      packets += arrived().length
    }
    assert.equal(packets, 11 + 40 * 30)
    while (queue.queued().packets > 0) {
      clock.ms += 3
      queue.flush()
      arrived()
    }
    clock.ms += 1000
    send(numbered(100, 1000))
    queue.flush()
    assert.equal(arrived().length, 11)
    assert.equal(close(), 0)
  })

  it('shapes a band of priorities from its first packet on', () => {
    const bands = [tokenBucket({ bitsPerSecond: 8e6, burstBytes: 3000 }), fifo()]
    const discipline = priority({ bands, bandOf: new Array(64).fill(0) })
    const { queue, send, arrived, close } = openQueueBench({ discipline, byteLimit: 'off' })
    for (const packet of numbered(100, 1000)) {
      send([packet])
      queue.flush()
    }
    assert.equal(arrived().length, 4)
    assert.equal(queue.queued().packets, 96)
    assert.equal(close(), 0)
  })

  it('wakes an engine that sleeps when the next packet is due, and when another worker sends', async () => {
    const shaped = openQueueBench({ discipline: tokenBucket({ bitsPerSecond: 8e6, burstBytes: 1 }), byteLimit: 'off' })
    shaped.send(numbered(3, 1000))
    const woken = shaped.queue.waitDue!(60_000)
    shaped.clock.ms += 5
    await woken
    assert.equal(shaped.queue.isDue!(), true)
    assert.equal(shaped.close(), 0)

    const { space, code, pool, worker, bundle: bundleNamed, fill, inUse } = openBench()
    const [near, peer] = createLink(space, code, worker, 'link')
    const shared = createSharedQueue(space, 'shared', { producers: 1 })
    const queue = openQueue(space, code, worker, near, { shared, byteLimit: 'off' })
    const producer = openProducer(space, code, shared, 0)
    const [bundle, arrivals] = [bundleNamed('sent'), bundleNamed('arrivals')]
    const waited = queue.waitDue!(60_000)
    fill(bundle, numbered(10))
    assert.equal(producer.send(bundle), 10)
    producer.flush()
    await waited
    queue.flush()
    assert.equal(peer.receive(arrivals, 64), 10)
    assert.equal(producer.statistics().sentBytes, 600)
    worker.give(arrivals + 16, 10)
    for (const device of [producer, queue, peer]) device.close()
    shared.close()
    assert.equal(inUse(), 0)
    assert.equal(pool.faults().foreign, 0)
  })

  it('kicks by its trigger: packets a kick', () => {
    const kicksOf = (doorbell: 'burst' | 'packet' | 'ring full' | 'byte limit' | 'refused' | 'request') => {
      const options = { doorbell, ringPackets: 16, byteLimit: doorbell === 'byte limit' ? 1000 : 'off' } as const
      const { queue, send, arrived, close } = openQueueBench(options, 64)
      let count = 0
      for (let round = 0; round < 10; round++) {
        send(numbered(20))
        queue.flush()
        if (round % 2 === 1) count += arrived().length
      }
      const inRounds = queue.queued().kicks
      queue.flush()
      const idle = queue.queued().kicks
      queue.uncork()
      for (let round = 0; round < 10; round++) {
        queue.flush()
        count += arrived().length
      }
      const { kicks, packetsPerKick } = queue.queued()
      assert.equal(count, 200)
      assert.equal(Math.round(kicks * packetsPerKick), 200)
      assert.equal(close(), 0)
      return [inRounds, idle]
    }
    assert.deepEqual(kicksOf('packet'), [200, 200])
    assert.deepEqual(kicksOf('burst'), [10, 10])
    assert.deepEqual(kicksOf('ring full'), [10, 10])
    assert.deepEqual(kicksOf('request'), [0, 0])
    // The ring of 64 never refuses 40 packets: only the first idle round kicks.
    assert.deepEqual(kicksOf('refused'), [0, 1])
    const [held, after] = kicksOf('byte limit')
    assert.ok(held! > 0 && held! < 200 && after! >= held!, `${held} kicks, then ${after}`)
  })

  it('holds its kicks while it is corked', () => {
    const { queue, send, arrived, close } = openQueueBench({ byteLimit: 'off' })
    queue.cork()
    for (let round = 0; round < 5; round++) {
      send(numbered(10))
      queue.flush()
    }
    assert.equal(queue.queued().kicks, 0)
    queue.uncork()
    assert.deepEqual([queue.queued().kicks, queue.queued().packetsPerKick], [1, 50])
    assert.equal(arrived().length, 50)
    assert.equal(close(), 0)
  })

  it('loses none and counts all, whatever stands where', (context) => {
    const random = seededRandom(context, 'transmit/queue')
    for (let turn = 0; turn < 20; turn++) {
      const inner = random.pick([fifo({ packets: 50 }), priority(), fifo({ bytes: 9000 })])
      const discipline = random.pick([inner, tokenBucket({ bitsPerSecond: 1e6 * (1 + random.below(50)) }, inner)])
      const byteLimit = random.pick(['auto', 'off', 2000, 20_000] as const)
      const doorbell = random.pick(['burst', 'packet', 'ring full', 'byte limit', 'refused', 'request'] as const)
      const options = { discipline, byteLimit, doorbell, ringPackets: 8 }
      const { queue, send, arrived, clock, close } = openQueueBench(options, random.pick([4, 64, 1024]))
      let [sent, received] = [0, 0]
      for (let round = 0; round < 200; round++) {
        const packets = numbered(random.below(40), 60 + random.below(1400), sent)
        sent += packets.length
        send(packets)
        if (random.below(2) === 0) received += arrived(random.below(60)).length
        queue.flush()
        clock.ms += random.below(5)
      }
      for (let round = 0; round < 5000 && queue.queued().packets > 0; round++, clock.ms++) {
        queue.flush()
        received += arrived().length
      }
      received += arrived().length
      const { 'queue full': full, codel } = queue.statistics().drops
      assert.equal(sent, received + full! + codel! + queue.queued().packets, JSON.stringify(options))
      assert.equal(close(), 0)
    }
  })
})
