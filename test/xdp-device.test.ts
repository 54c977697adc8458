import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { XDP_REASONS, xdpNotes } from '../src/device/index.js'
import { setFeatures } from '../src/kernel/index.js'
import { TRAFFIC_BYTES, TRAFFIC_DROPS } from '../src/memory/index.js'
import { testDevice } from './support/device-suite.js'
import { openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { skipUnless } from './support/require.js'
import { xdpEnds } from './support/xdp-ends.js'

const ENTRIES = 256

const ends = xdpEnds()

it('says of a device that it takes VLAN tags off before anybody sees them', { skip: skipUnless('root') }, () => {
  const { near } = ends.pair
  const found = () => xdpNotes(near).filter((note) => note.includes(`"ethtool -K ${near.name} rxvlan off"`)).length
  try {
    for (const isOn of [true, false]) {
      setFeatures(near.name, { 'rx-vlan-hw-parse': isOn }, near.namespace)
      assert.equal(found(), isOn ? 1 : 0)
    }
  } finally {
    setFeatures(near.name, { 'rx-vlan-hw-parse': true }, near.namespace)
  }
})

it('receives again as soon as the pool has frames, where there were none left', {
  skip: skipUnless('root'),
}, async () => {
  const few = 64
  const bench = openBench({ 2048: few })
  const other = openBench()
  const [device, peer] = [ends.open(bench, 'near', { entries: ENTRIES }), ends.open(other, 'far', { entries: ENTRIES })]
  const [taken, sent] = [bench.bundle('taken'), other.bundle('sent')]
  const send = (count: number) => {
    other.fill(sent, Array<Uint8Array>(count).fill(new Uint8Array(60)))
    peer.send(sent)
    peer.flush()
  }
  send(few)
  while (bench.count(taken) < few) if (device.receive(taken, few) === 0) await device.wait(1000)
  assert.equal(device.isReady(), false)
  const woken = device.wait(5000)
  bench.empty(taken)
  await woken
  assert.equal(device.isReady(), true)
  assert.equal(device.receive(taken, few), 0)
  assert.equal(device.isReady(), false)
  send(few)
  while (bench.count(taken) < few) if (device.receive(taken, few) === 0) await device.wait(1000)
  assert.equal(device.statistics().drops['no frame to receive into'], 0)
  bench.empty(taken)
  for (const each of [device, peer]) each.close()
  assert.deepEqual([bench.inUse(), other.inUse()], [0, 0])
})

it('counts what the kernel lost where other threads see it, and goes on when the queue is opened again', {
  skip: skipUnless('root'),
}, async () => {
  const [bench, other] = [openBench(), openBench()]
  const { offset: counters } = bench.space.reserve({ name: 'counters', kind: 'counters', bytes: TRAFFIC_BYTES })
  const peer = ends.open(other, 'far', { entries: ENTRIES })
  const [taken, sent] = [bench.bundle('taken'), other.bundle('sent')]
  const full = XDP_REASONS.indexOf('no frame to receive into')
  const lost = () => bench.space.counters[(counters + TRAFFIC_DROPS) / 8 + full]
  for (const times of [1, 2]) {
    const device = ends.open(bench, 'near', { entries: 64, counters: () => counters })
    for (let left = 128; left > 0; left -= 64) {
      other.fill(sent, Array<Uint8Array>(64).fill(new Uint8Array(60)))
      peer.send(sent)
      peer.flush()
    }
    await eventually('what found no frame is counted', async () => {
      await device.wait(1000)
      return lost() === times * 64
    })
    while (device.receive(taken, 64) > 0) bench.empty(taken)
    assert.deepEqual(device.statistics().drops['no frame to receive into'], times * 64)
    device.close()
    await setTimeout(100)
  }
  peer.close()
  bench.space.free('counters')
  assert.deepEqual([bench.inUse(), other.inUse()], [0, 0])
})

for (const stagger of [true, false]) {
  testDevice(
    `xdp, ${stagger ? 'staggered' : 'aligned'}`,
    (bench) => {
      const options = { entries: ENTRIES, stagger }
      return { device: ends.open(bench, 'near', options), peer: ends.open(bench, 'far', options) }
    },
    { skip: skipUnless('root'), mostUnread: ENTRIES },
  )
}
