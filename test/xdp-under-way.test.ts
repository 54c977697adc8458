import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { createLink, openPacketDevice, openXdp } from '../src/device/index.js'
import { draw, receive, send, startEngine, startWorkers } from '../src/engine/index.js'
import { closeNetlink, deleteLink, findLink, openRoute, setLink, withNamespace } from '../src/kernel/index.js'
import { discard } from '../src/stages/index.js'
import { openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { skipUnless } from './support/require.js'
import { sending } from './support/sending-worker.js'
import { createVethPair, type VethPair } from './support/veth-pair.js'

const ENTRIES = 64
const PACKETS = 8
const SKIP = skipUnless('root', 'ip')

let pair: VethPair
let upper: { readonly name: string; readonly index: number; readonly namespace: VethPair['near']['namespace'] }

function inNear(command: string): void {
  withNamespace(pair.near.namespace, () => execFileSync('sh', ['-c', command]))
}

/** A device that hands its packets to a veth whose queueing discipline lets one a quarter of a minute go: there they are the kernel's. */
beforeEach(() => {
  if (SKIP !== false) return
  pair = createVethPair()
  const { name, namespace } = pair.near
  inNear(`ip link add upper link ${name} type macvlan mode private && ip link set upper up`)
  inNear(`tc qdisc add dev ${name} root tbf rate 800bit burst 1600 limit 100000`)
  const route = openRoute(namespace)
  upper = { name: 'upper', index: findLink(route, 'upper').index, namespace }
  closeNetlink(route)
})

/** The first goes at once; of the others none within 14 seconds. */
const packets = (count = PACKETS) => Array<Uint8Array>(count).fill(new Uint8Array(1500).fill(2))

function dropWhatStands(): void {
  inNear(`tc qdisc del dev ${pair.near.name} root`)
}

afterEach(() => pair?.close())

it('frames of a closed AF_XDP socket stay the kernel’s as long as it may send from them, and then are free', {
  skip: SKIP,
}, async () => {
  const { space, code, pool, worker, ...bench } = openBench()
  const { queues } = openXdp(space, code, worker, upper, { divert() {}, entries: ENTRIES })
  const device = queues[0]!
  const bundle = bench.bundle('sent')
  assert.equal(bench.fill(bundle, packets()), PACKETS)
  device.send(bundle)
  device.flush()
  const held = () => pool.balance().reduce((sum, { heldByKernel }) => sum + heldByKernel, 0)
  device.close()
  await eventually('the first has gone', () => held() === PACKETS - 1)
  assert.equal(bench.inUse(), PACKETS - 1, 'what is received into is free with the socket')
  worker.close()
  assert.equal(held(), PACKETS - 1)
  dropWhatStands()
  await eventually('the kernel lets go', () => held() === 0)
  assert.equal(bench.inUse(), 0)
  const { lastFrame: _, ...faults } = pool.faults()
  assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
})

it('a worker that ends with packets under way is started again when the kernel is done with its frames', {
  skip: SKIP,
}, async () => {
  const bench = openBench()
  const { space, code, pool, worker } = bench
  const settings = { device: upper, entries: ENTRIES }
  const ends: string[] = []
  const workers = await startWorkers(sending, space, code, pool, { settings, onEnd: (name) => ends.push(name) })
  const sender = () => workers.statistics().find(({ name }) => name === 'sender')!
  try {
    const bundle = bench.bundle('sent')
    bench.fill(bundle, packets())
    workers.to('sender').send(bundle)
    workers.to('sender').flush()
    await eventually('all are under way', () => sender().stages.some((stage) => stage.packets === PACKETS))
    workers.kill('sender')
    await eventually('the thread has ended', () => ends.length > 0)
    await setTimeout(100)
    assert.deepEqual([sender().isRunning, sender().reclaimedFrames], [false, 0])
    dropWhatStands()
    await eventually('the worker runs again', () => sender().isRunning, 30_000)
    // As long as the first is under way, it is another frame.
    assert.ok(sender().reclaimedFrames >= ENTRIES + PACKETS - 1, `${sender().reclaimedFrames}`)
  } finally {
    await workers.close()
    worker.close()
  }
  assert.equal(bench.inUse(), 0)
})

for (const how of ['is killed while its device is down', 'is told to end'] as const) {
  it(`frames of a worker that ${how} come back when the kernel lets go, however late that is`, {
    skip: SKIP,
  }, async () => {
    const bench = openBench()
    const { space, code, pool, worker } = bench
    const settings = { device: upper, entries: ENTRIES }
    const workers = await startWorkers(sending, space, code, pool, { settings })
    const sender = () => workers.statistics().find(({ name }) => name === 'sender')!
    const held = () => pool.balance().reduce((sum, { heldByKernel }) => sum + heldByKernel, 0)
    const bundle = bench.bundle('sent')
    bench.fill(bundle, packets())
    workers.to('sender').send(bundle)
    workers.to('sender').flush()
    await eventually('all are under way', () => sender().stages.some((stage) => stage.packets === PACKETS))
    inNear('ip link set upper down')
    const isKilled = how === 'is killed while its device is down'
    if (isKilled) workers.kill('sender')
    const closed = isKilled ? null : workers.close()
    // Who waits for the kernel waits no longer, and leaves the frames to it.
    await eventually('its frames are the kernel’s', () => held() >= PACKETS - 1, 30_000)
    await eventually('nobody waits', () => sender().reclaimedFrames > 0, 30_000)
    assert.ok(held() >= PACKETS - 1)
    dropWhatStands()
    await eventually('the kernel lets go', () => held() === 0, 30_000)
    await (closed ?? workers.close())
    worker.close()
    await eventually('every frame is back', () => bench.inUse() === 0)
    for (const { frames, free } of pool.balance()) assert.equal(free, frames)
    const { lastFrame: _, ...faults } = pool.faults()
    assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
  })
}

it('an engine to which nothing comes sends soon what a device was held up with', { skip: SKIP }, async () => {
  const bench = openBench()
  const { space, code, worker } = bench
  const [near, far] = createLink(space, code, worker, 'wire')
  const [queue] = openXdp(space, code, worker, upper, { divert() {}, entries: 512 }).queues
  const engine = startEngine(space, code, worker, draw([receive(far), send(queue!)]))
  const bundle = bench.bundle('sent')
  // More than the buffer of a socket holds, as long as the discipline keeps them.
  for (let turn = 0; turn < 4; turn++) {
    bench.fill(bundle, packets(64))
    near.send(bundle)
    engine.round()
  }
  assert.equal(queue!.isHeldUp?.(), true)
  dropWhatStands()
  for (let turn = 0; turn < 100 && queue!.isHeldUp?.(); turn++) {
    const waits = engine.wait(60_000).then(() => 'woken')
    assert.equal(await Promise.race([waits, setTimeout(20_000, 'asleep')]), 'woken')
    engine.round()
  }
  assert.equal(queue!.isHeldUp?.(), false)
  assert.equal(queue!.statistics().sentPackets, 256)
  engine.close()
  for (const device of [queue!, near, far]) device.close()
  assert.equal(bench.inUse(), 0)
})

it('a device that is down or gone lets its engine sleep, and what was left goes out when it is up again', {
  skip: SKIP,
}, async () => {
  const bench = openBench()
  const { space, code, worker } = bench
  const { near, far } = pair
  dropWhatStands()
  const [inside, outside] = createLink(space, code, worker, 'wire')
  const [queue] = openXdp(space, code, worker, near, { divert() {}, entries: ENTRIES }).queues
  const seen = openPacketDevice(space, code, worker, {
    ...{ name: 'far', namespace: far.namespace, interfaceIndex: far.index },
    ...{ isPromiscuous: true, retireMs: 1 },
  })
  const graph = draw([receive(outside), send(queue!)], [receive(queue!), discard('all')])
  const engine = startEngine(space, code, worker, graph)
  const route = openRoute(near.namespace)
  const bundle = bench.bundle('sent')
  const sendInside = () => {
    bench.fill(bundle, packets())
    inside.send(bundle)
    engine.round()
  }
  const sleeps = async () => {
    engine.round()
    assert.equal(await Promise.race([engine.wait(60_000).then(() => 'woken'), setTimeout(30, 'asleep')]), 'asleep')
  }
  try {
    await sleeps()
    setLink(route, near.index, { up: false })
    sendInside()
    await sleeps()
    assert.equal(queue!.state(), 'down')
    setLink(route, near.index, { up: true })
    engine.round()
    const arrived = bench.bundle('arrived')
    await eventually('what was left has come', () => {
      seen.receive(arrived, 64)
      return bench.count(arrived) === PACKETS
    })
    bench.empty(arrived)
    await sleeps()
    deleteLink(route, near.name)
    sendInside()
    await sleeps()
    assert.equal(engine.lost().length, 1)
    await sleeps()
  } finally {
    closeNetlink(route)
    engine.close()
    for (const device of [queue!, inside, outside, seen]) device.close()
  }
  await eventually('every frame is back', () => bench.inUse() === 0)
})
