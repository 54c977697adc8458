import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { startWorkers } from '../src/engine/index.js'
import { attachConsumer, createSharedQueue, packetsInQueue } from '../src/transmit/index.js'
import { openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { seededRandom } from './support/random.js'
import { sharing } from './support/sharing-worker.js'

const SLOTS = 256
const PACKET_BYTES = 64

async function openSharing() {
  const bench = openBench({ 2048: 2048 })
  const { space, code, pool } = bench
  const queue = createSharedQueue(space, 'sharing', { producers: 2, slots: SLOTS })
  const { close: _, ...shared } = queue
  const workers = await startWorkers(sharing, space, code, pool, {
    settings: { shared },
    stallMs: 2000,
    underWay: () => packetsInQueue(space, shared),
  })
  const [bundle, arrivals] = [bench.bundle('sent'), bench.bundle('arrivals')]
  const wire = workers.from('out')
  const next = { left: 0, right: 0 }
  return {
    workers,
    /** Hands so many numbered packets to a worker; gives how many there was room for. */
    send(worker: 'left' | 'right', count: number): number {
      const packets = Array.from({ length: count }, (_, index) => {
        const packet = new Uint8Array(PACKET_BYTES)
        new DataView(packet.buffer).setUint32(16, next[worker] + index)
        packet[20] = worker === 'left' ? 0 : 1
        return packet
      })
      bench.fill(bundle, packets)
      const device = workers.to(worker)
      const sent = device.send(bundle)
      device.flush()
      bench.empty(bundle)
      next[worker] += sent
      return sent
    },
    /** Number and producer of what has arrived. */
    async arrived(): Promise<[number, number][]> {
      await wire.wait(5)
      wire.receive(arrivals, 256)
      const packets = bench.read(arrivals)
      bench.empty(arrivals)
      return packets.map((packet) => [new DataView(packet.buffer).getUint32(16), packet[20]!])
    },
    async close(): Promise<number> {
      await workers.close()
      const rest = attachConsumer(space, code, shared, bench.worker)
      while (rest.pull(arrivals, 64) > 0) bench.empty(arrivals)
      queue.close()
      return bench.inUse()
    },
    faults: () => pool.faults(),
  }
}

it('two workers send through the queue of a third: nothing is lost, and each stays in its order', async () => {
  const rig = await openSharing()
  const got: [number[], number[]] = [[], []]
  const sent = { left: 0, right: 0 }
  for (let turn = 0; turn < 200; turn++) {
    const underWay = sent.left + sent.right - got[0].length - got[1].length
    // What finds the shared queue full is dropped by the stage that sends.
    if (underWay < SLOTS / 2) for (const worker of ['left', 'right'] as const) sent[worker] += rig.send(worker, 20)
    for (const [number, producer] of await rig.arrived()) got[producer]!.push(number)
  }
  for (let turn = 0; turn < 4000 && got[0].length + got[1].length < sent.left + sent.right; turn++)
    for (const [number, producer] of await rig.arrived()) got[producer]!.push(number)
  assert.deepEqual(
    got[0],
    Array.from({ length: sent.left }, (_, number) => number),
  )
  assert.deepEqual(
    got[1],
    Array.from({ length: sent.right }, (_, number) => number),
  )
  assert.equal(await rig.close(), 0)
  assert.equal(rig.faults().doubleFree, 0)
})

it('whoever of them is ended, the others go on, and every frame comes back', async (context) => {
  const random = seededRandom(context, 'transmit-workers')
  const rig = await openSharing()
  const last = [-1, -1]
  let [received, kills] = [0, 0]
  for (let turn = 0; turn < 320; turn++) {
    rig.send('left', 1 + random.below(30))
    rig.send('right', 1 + random.below(30))
    for (const [number, producer] of await rig.arrived()) {
      assert.ok(number > last[producer]!, `producer ${producer}: ${number} came behind ${last[producer]}`)
      last[producer] = number
      received++
    }
    if (turn % 40 !== 20) continue
    rig.workers.kill(random.pick(['left', 'right', 'out']))
    kills++
  }
  const before = received
  await eventually('packets go on after the last end', async () => {
    rig.send('left', 5)
    rig.send('right', 5)
    received += (await rig.arrived()).length
    return received > before
  })
  assert.equal(await rig.close(), 0)
  const { doubleFree, useAfterFree, writeAfterFree, foreign } = rig.faults()
  assert.deepEqual(
    { doubleFree, useAfterFree, writeAfterFree, foreign },
    { doubleFree: 0, useAfterFree: 0, writeAfterFree: 0, foreign: 0 },
  )
  assert.ok(kills > 5)
})

it('one that is ended while it starts takes nobody along', async (context) => {
  const random = seededRandom(context, 'transmit-workers')
  for (let round = 0; round < 6; round++) {
    const rig = await openSharing()
    // A thread loads its modules for some ten milliseconds, native ones among them.
    for (const worker of ['left', 'right', 'out'] as const) rig.workers.kill(worker)
    for (let turn = 0; turn < 8; turn++) {
      await setTimeout(random.below(50))
      rig.workers.kill(random.pick(['left', 'right', 'out']))
    }
    await eventually('packets go on', async () => {
      rig.send('left', 5)
      rig.send('right', 5)
      return (await rig.arrived()).length > 0
    })
    assert.equal(await rig.close(), 0)
  }
})
