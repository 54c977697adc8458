import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, it } from 'node:test'
import { policySource } from '../src/control/index.js'
import { openXdp } from '../src/device/index.js'
import { type Device, draw, receive, send, startEngine } from '../src/engine/index.js'
import { addAddress, closeNetlink, type NetworkNamespace, openRoute, withNamespace } from '../src/kernel/index.js'
import { loadPolicy } from '../src/loader/index.js'
import { divert, policy } from '../src/policy/index.js'
import { type EngineBench, openBench } from './support/engine.js'
import { openTapEnd } from './support/open-tap.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createVethPair, type PairEnd } from './support/veth-pair.js'

const ECHOES = 100
const GUESTS = ['198.51.100.1', '198.51.100.2'] as const

describe('packets from guest to guest', { skip: skipUnless('root', 'ping') }, () => {
  const closing: (() => void)[] = []
  let bench: EngineBench

  afterEach(() => {
    for (const close of closing.splice(0).reverse()) close()
    assert.equal(bench.inUse(), 0)
    assert.equal(bench.pool.faults().doubleFree + bench.pool.faults().useAfterFree, 0)
  })

  /** A wire between devices that stand in pairs, and pings of full size over it; gives what each device did. */
  async function pingOver(devices: readonly (readonly [Device, Device])[], guest: NetworkNamespace) {
    const { space, code, worker } = bench
    const lines = devices.flatMap(([one, other]) => [
      [receive(one), send(other)] as const,
      [receive(other), send(one)] as const,
    ])
    const engine = startEngine(space, code, worker, draw(...lines))
    closing.push(engine.close)
    const [command, ...args] = [...pings(ECHOES), '-s', '1472', GUESTS[1]]
    const ping = withNamespace(guest, () => spawn(command!, args))
    let said = ''
    ping.stdout.on('data', (text) => {
      said += text
    })
    const closed = once(ping, 'close')
    while (ping.exitCode === null) {
      if (engine.round() === 0) await engine.wait(20)
      else await new Promise((resolve) => setImmediate(resolve))
    }
    await closed
    assertAnswered(said, ECHOES)
    assert.deepEqual(engine.lost(), [])
    return devices.flat().map((device) => device.statistics())
  }

  /** Every queue of the near end as a device: all that comes there is diverted to it. */
  function openEnd(near: PairEnd, title: string) {
    const { space, code, worker } = bench
    const loaded = loadPolicy(policySource(policy(divert('')), { sets: new Map(), interfaceIndex: () => 0 }))
    closing.push(loaded.close)
    const xdp = openXdp(space, code, worker, near, { title, divert: loaded.divertTo, entries: 256 })
    closing.push(xdp.close)
    closing.push(withNamespace(near.namespace, () => loaded.attach(near)).close)
    return xdp.queues
  }

  it('go over two veth pairs by AF_XDP, by several queues, and each copy of the kernel is counted', async () => {
    bench = openBench({ 2048: 4096 })
    const guests = GUESTS.map((address) => {
      const pair = createVethPair(2)
      closing.push(pair.close)
      const route = openRoute(pair.far.namespace)
      addAddress(route, pair.far.index, `${address}/24`)
      closeNetlink(route)
      return pair
    })
    const [one, other] = guests.map(({ near }, index) => openEnd(near, `guest ${index}`))
    assert.equal(one!.length, 2)
    const pairs = one!.map((queue, index) => [queue, other![index]!] as const)
    const all = await pingOver(pairs, guests[0]!.far.namespace)
    for (const { receivedPackets, sentPackets, copiedPackets } of all)
      assert.equal(copiedPackets, receivedPackets + sentPackets)
    const received = all.reduce((sum, { receivedPackets }) => sum + receivedPackets, 0)
    assert.ok(received >= 2 * ECHOES, `${received} packets`)
    assert.equal(
      all.reduce((sum, { sentPackets }) => sum + sentPackets, 0),
      received,
    )
    assert.ok(all.every(({ drops }) => Object.values(drops).every((count) => count === 0)))
  })

  it('go from TAP to TAP, copied once in and once out', async () => {
    bench = openBench({ 2048: 1024 })
    const ends = GUESTS.map((address, index) => {
      const end = openTapEnd(bench, { name: `guest${index}` }, address)
      closing.push(end.close, end.device.close)
      return end
    })
    const all = await pingOver([[ends[0]!.device, ends[1]!.device]], ends[0]!.namespace)
    for (const { receivedPackets, sentPackets, copiedPackets } of all) {
      assert.ok(receivedPackets >= ECHOES)
      assert.equal(copiedPackets, receivedPackets + sentPackets)
    }
  })
})
