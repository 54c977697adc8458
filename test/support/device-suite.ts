import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Device, draw, receive, startEngine } from '../../src/engine/index.js'
import { discard } from '../../src/stages/index.js'
import { type EngineBench, openBench } from './engine.js'
import { type Random, seededRandom } from './random.js'

/** A device to be tested, and what stands at its other end: whatever one sends, the other receives. */
export interface DeviceRig {
  readonly device: Device
  readonly peer: Device
  /** Closes what the test does not know of: namespaces, files, the kernel's side. */
  close?(): void | Promise<void>
}

export interface DeviceSuiteOptions {
  readonly skip?: string | false
  /** Shorter packets are not sent, or filled up: 14 for an Ethernet device. */
  readonly leastBytes?: number
  readonly mostBytes?: number
  /** How long a packet may be under way before it counts as lost. */
  readonly underWayMs?: number
  /** Packets that the other end keeps unread; a network loses more than that, and the sender does not learn of it. */
  readonly mostUnread?: number
}

/**
 * What every device must do, whatever it is made of. `open` is called once a
 * test; frames are 2048 bytes, and a device has room for 128 packets or more.
 */
export function testDevice(
  name: string,
  open: (bench: EngineBench) => DeviceRig | Promise<DeviceRig>,
  {
    skip = false,
    leastBytes = 14,
    mostBytes = 1514,
    underWayMs = 20_000,
    mostUnread = Number.POSITIVE_INFINITY,
  }: DeviceSuiteOptions = {},
): void {
  const test = (title: string, run: (rig: Rig) => Promise<void> | void) =>
    it(title, async (context) => {
      const bench = openBench()
      const opened = await open(bench)
      const random = seededRandom(context, name.split(' ')[0]!)
      const rig = { ...opened, bench, random, bundle: bench.bundle('sent'), arrivals: bench.bundle('arrivals') }
      try {
        await run(rig)
        bench.empty(rig.bundle)
      } finally {
        rig.device.close()
        rig.peer.close()
        await opened.close?.()
      }
      assert.equal(bench.inUse(), 0, 'every frame is back in the pool')
      const { lastFrame: _, ...faults } = bench.pool.faults()
      assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
    })
  const packets = (random: Random, count: number) =>
    Array.from({ length: count }, () => randomBytes(random, leastBytes + random.below(mostBytes - leastBytes + 1)))
  /** What arrives at `to`, until there are `count` or time is up. */
  const arriving = async ({ bench, arrivals }: Rig, to: Device, count: number) => {
    const arrived: Uint8Array[] = []
    for (const end = performance.now() + underWayMs; arrived.length < count && performance.now() < end; ) {
      if (to.receive(arrivals, 64) === 0) await to.wait(20)
      arrived.push(...bench.read(arrivals))
      bench.empty(arrivals)
    }
    return arrived
  }
  const sendAll = async ({ bench, bundle }: Rig, from: Device, sent: readonly Uint8Array[]) => {
    assert.equal(bench.fill(bundle, sent), sent.length)
    for (const end = performance.now() + underWayMs; bench.count(bundle) > 0 && performance.now() < end; ) {
      from.send(bundle)
      from.flush()
      if (bench.count(bundle) > 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  describe(`device ${name}`, { skip }, () => {
    test('what one end sends, the other receives: in order, byte for byte, both ways', async (rig) => {
      for (const [from, to] of [
        [rig.device, rig.peer],
        [rig.peer, rig.device],
      ] as const) {
        for (const count of [1, 2, 63, 64, 100]) {
          const sent = packets(rig.random, count)
          await sendAll(rig, from, sent)
          assert.deepEqual(await arriving(rig, to, count), sent)
        }
      }
    })

    test('receives no more than it is asked for, and appends to what the bundle has', async (rig) => {
      const { bench, bundle, device, peer } = rig
      const sent = packets(rig.random, 20)
      await sendAll(rig, peer, sent)
      for (let most = 3; bench.count(bundle) < 20; ) {
        await device.wait(underWayMs)
        const before = bench.count(bundle)
        const count = device.receive(bundle, most)
        assert.ok(count <= most, `${count} received, ${most} asked for`)
        assert.equal(bench.count(bundle), before + count)
      }
      assert.deepEqual(bench.read(bundle), sent)
      assert.equal(device.receive(bundle, 0), 0)
    })

    test('gives nothing where nothing came, and says so', ({ device, bundle, bench }) => {
      assert.equal(device.isReady(), false)
      assert.equal(device.receive(bundle, 64), 0)
      assert.equal(device.send(bundle), 0)
      device.flush()
      assert.equal(bench.count(bundle), 0)
    })

    test('leaves in the bundle what it has no room for, and loses none of the rest', async (rig) => {
      const { bench, bundle, arrivals, device, peer, random } = rig
      const sent: Uint8Array[] = []
      const arrived: Uint8Array[] = []
      for (let turn = 0; turn < 40; turn++) {
        const unread = sent.length - bench.count(bundle) - arrived.length
        const fresh = packets(random, Math.min(random.below(60), mostUnread - unread))
        sent.push(...fresh.slice(0, bench.fill(bundle, fresh)))
        const before = bench.count(bundle)
        const taken = device.send(bundle)
        assert.equal(bench.count(bundle), before - taken)
        device.flush()
        if (random.below(3) > 0) continue
        peer.receive(arrivals, 1 + random.below(64))
        arrived.push(...bench.read(arrivals))
        bench.empty(arrivals)
      }
      const kept = bench.count(bundle)
      const left = bench.read(bundle)
      bench.empty(bundle)
      arrived.push(...(await arriving(rig, peer, sent.length - kept - arrived.length)))
      assert.deepEqual([...arrived, ...left], sent)
    })

    test('wakes who waits, when something comes and when it is closed', async (rig) => {
      const { device, peer, bundle } = rig
      const begin = performance.now()
      const woken = device.wait(60_000)
      await sendAll(rig, peer, packets(rig.random, 1))
      await woken
      assert.equal((await arriving(rig, device, 1)).length, 1)
      const closed = device.wait(60_000)
      device.close()
      await closed
      await device.wait(60_000)
      assert.ok(performance.now() - begin < 60_000)
      assert.equal(device.receive(bundle, 64), 0)
    })

    test('wakes a thread that sleeps in the kernel, where it has a descriptor', async (rig) => {
      const { bench, device, peer } = rig
      const engine = startEngine(bench.space, bench.code, bench.worker, draw([receive(device), discard('dropped')]))
      assert.equal(engine.doze(1), false)
      await sendAll(rig, peer, packets(rig.random, 1))
      assert.equal(engine.doze(device.descriptor === undefined ? 0 : 5000), device.descriptor !== undefined)
      while (engine.round() === 0) await engine.wait(underWayMs)
      engine.close()
    })

    test('waits no longer than it is told', async ({ device }) => {
      await device.wait(5)
      assert.equal(device.isReady(), false)
    })

    test('counts packets and bytes, also when it is closed', async (rig) => {
      const { device, peer } = rig
      const [there, back] = [packets(rig.random, 30), packets(rig.random, 40)]
      await sendAll(rig, device, there)
      await arriving(rig, peer, there.length)
      await sendAll(rig, peer, back)
      await arriving(rig, device, back.length)
      const bytes = (list: readonly Uint8Array[]) => list.reduce((sum, { length }) => sum + length, 0)
      const wanted = [there.length, bytes(there), back.length, bytes(back)]
      const counted = () => {
        const { sentPackets, sentBytes, receivedPackets, receivedBytes } = device.statistics()
        return [sentPackets, sentBytes, receivedPackets, receivedBytes]
      }
      assert.deepEqual(counted(), wanted)
      device.close()
      assert.deepEqual(counted(), wanted)
    })

    test('that is closed sends and receives nothing, and leaves frames to who has them', async (rig) => {
      const { bench, bundle, device, peer } = rig
      await sendAll(rig, peer, packets(rig.random, 5))
      device.close()
      device.close()
      assert.equal(device.receive(bundle, 64), 0)
      bench.fill(bundle, packets(rig.random, 5))
      assert.equal(device.send(bundle), 0)
      device.flush()
      assert.equal(bench.count(bundle), 5)
    })
  })
}

interface Rig extends DeviceRig {
  readonly bench: EngineBench
  readonly random: Random
  readonly bundle: number
  readonly arrivals: number
}

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256))
}
