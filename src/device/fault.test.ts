import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { testDevice } from '../../test/support/device-suite.js'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { type Faults, openFault } from './fault.js'
import { createLink } from './link.js'

function faultyLink({ space, code, worker }: EngineBench, faults: Faults) {
  const [near, far] = createLink(space, code, worker, 'link', { slots: 1024 })
  return { device: openFault(space, code, worker, near, faults), peer: far }
}

testDevice('fault without faults', (bench) => faultyLink(bench, { seed: 1 }))

const COUNT = 4000

/** Sends packets that begin with their number through faults; gives the numbers that arrive, in order, and the device. */
async function sendThrough(faults: Faults) {
  const bench = openBench({ 2048: 1024 })
  const { device, peer } = faultyLink(bench, faults)
  const [sent, arrived] = [bench.bundle('sent'), bench.bundle('arrived')]
  const packets: Uint8Array[] = []
  const drain = () => {
    while (device.receive(arrived, 64) > 0) {
      packets.push(...bench.read(arrived))
      bench.empty(arrived)
    }
  }
  for (let first = 0; first < COUNT; first += 50) {
    const numbered = (index: number) => Buffer.concat([Buffer.from(Uint32Array.of(first + index).buffer), FILLING])
    bench.fill(
      sent,
      Array.from({ length: 50 }, (_, index) => numbered(index)),
    )
    peer.send(sent)
    drain()
  }
  const missing = () => COUNT - device.faults().lost + device.faults().duplicated - packets.length
  for (const end = performance.now() + 20_000; missing() > 0 && performance.now() < end; ) {
    await device.wait(100)
    drain()
  }
  const statistics = device.statistics()
  const { length } = packets
  assert.equal(statistics.receivedPackets, length)
  device.close()
  peer.close()
  assert.equal(bench.inUse(), 0)
  assert.deepEqual(bench.pool.faults().doubleFree, 0)
  const numbers = packets.map((packet) => new DataView(packet.buffer, packet.byteOffset).getUint32(0, true))
  return { numbers, packets, faults: device.faults(), statistics }
}

const FILLING = Buffer.alloc(60, 0x11)
const isNear = (count: number, share: number) => Math.abs(count / COUNT - share) < 0.05

describe('an unreliable way to a device', () => {
  it('loses', async () => {
    const { numbers, faults, statistics } = await sendThrough({ loses: 0.2, seed: 7 })
    assert.ok(isNear(faults.lost, 0.2), `${faults.lost}`)
    assert.equal(numbers.length, COUNT - faults.lost)
    assert.deepEqual(
      numbers,
      numbers.toSorted((one, other) => one - other),
    )
    assert.equal(statistics.drops['lost'], faults.lost)
  })

  it('duplicates', async () => {
    const { numbers, faults } = await sendThrough({ duplicates: 0.3, seed: 8 })
    assert.ok(isNear(faults.duplicated, 0.3))
    assert.equal(numbers.length, COUNT + faults.duplicated)
    assert.equal(new Set(numbers).size, COUNT)
  })

  it('reorders, by no more than eight places, and loses nothing', async () => {
    const { numbers, faults } = await sendThrough({ reorders: 0.1, seed: 9 })
    assert.ok(isNear(faults.reordered, 0.1))
    assert.equal(new Set(numbers).size, COUNT)
    assert.notDeepEqual(
      numbers,
      numbers.toSorted((one, other) => one - other),
    )
    const moved = numbers.map((number, place) => Math.abs(number - place))
    assert.ok(Math.max(...moved) <= 16)
  })

  it('corrupts one bit', async () => {
    const { packets, faults } = await sendThrough({ corrupts: 0.25, seed: 10 })
    assert.ok(isNear(faults.corrupted, 0.25))
    const ones = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum + byte.toString(2).split('1').length - 1, 0)
    const changed = packets.filter((packet, index) => {
      const original = Buffer.concat([Buffer.from(Uint32Array.of(index).buffer), FILLING])
      const difference = ones(packet.map((byte, at) => byte ^ original[at]!))
      assert.ok(difference <= 1)
      return difference === 1
    })
    assert.equal(changed.length, faults.corrupted)
  })

  it('delays, and the waiting ends when something is due', async () => {
    const { numbers, faults } = await sendThrough({ delays: 0.05, delayMs: 15, seed: 11 })
    assert.ok(isNear(faults.delayed, 0.05))
    assert.equal(new Set(numbers).size, COUNT)
    assert.notDeepEqual(
      numbers,
      numbers.toSorted((one, other) => one - other),
    )
  })

  it('does the same again with the same seed, and something else with another', async () => {
    const all = { loses: 0.1, duplicates: 0.1, corrupts: 0.1 }
    const [one, again, other] = [
      await sendThrough({ ...all, seed: 1 }),
      await sendThrough({ ...all, seed: 1 }),
      await sendThrough({ ...all, seed: 2 }),
    ]
    assert.deepEqual(one.packets, again.packets)
    assert.notDeepEqual(one.packets, other.packets)
  })
})
