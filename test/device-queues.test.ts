import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { policySource } from '../src/control/index.js'
import { openPacketDevice, openTapQueues, openXdp } from '../src/device/index.js'
import { type Device, draw, receive, startEngine, startWorkers, type Workers } from '../src/engine/index.js'
import {
  closeNamespace,
  closeNetlink,
  createNamespace,
  findLink,
  type NetworkNamespace,
  openRoute,
  setLink,
  withNamespace,
  writeSysctl,
} from '../src/kernel/index.js'
import { attachXdp, loadPolicy, loadProgram } from '../src/loader/index.js'
import { divert, policy } from '../src/policy/index.js'
import { count, discard } from '../src/stages/index.js'
import { type EngineBench, openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { flowFrame } from './support/flow-packet.js'
import { REDIRECT_PROGRAM, redirectTo } from './support/redirect-program.js'
import { skipUnless } from './support/require.js'
import { tapQueues } from './support/tap-queues-plan.js'
import { createVethPair, type PairEnd } from './support/veth-pair.js'
import { xdpQueues } from './support/xdp-queues-plan.js'

const FLOWS = 64
const PACKETS = 512
const ENTRIES = 512

/** Datagrams of many flows, so that every queue gets some of them. */
const datagrams = Array.from({ length: PACKETS }, (_, index) =>
  flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(30), flow: index % FLOWS }),
)

describe('the queues of a device', { skip: skipUnless('root') }, () => {
  const closing: (() => void | Promise<void>)[] = []
  let bench: EngineBench

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
    bench.worker.close()
    assert.equal(bench.inUse(), 0)
    const { lastFrame: _, ...faults } = bench.pool.faults()
    assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
  })

  function quietNamespace(): NetworkNamespace {
    const namespace = createNamespace()
    writeSysctl(namespace, 'ipv6/conf/all/disable_ipv6', 1)
    writeSysctl(namespace, 'ipv6/conf/default/disable_ipv6', 1)
    closing.push(() => closeNamespace(namespace))
    return namespace
  }

  /** A packet socket at an interface, which is up then. */
  function openSocket(namespace: NetworkNamespace, interfaceIndex: number): Device {
    const route = openRoute(namespace)
    setLink(route, interfaceIndex, { up: true })
    closeNetlink(route)
    const { space, code, worker } = bench
    const place = { name: 'socket', namespace, interfaceIndex, isPromiscuous: true, blocks: 64, blockBytes: 1 << 16 }
    const socket = openPacketDevice(space, code, worker, place)
    closing.push(socket.close)
    return socket
  }

  /** Sends all datagrams, a bundle by each in turn, with `work` between. */
  async function sendAll(senders: readonly Device[], sent: number, work: () => void): Promise<void> {
    for (let from = 0; from < PACKETS; from += 32) {
      const sender = senders[(from / 32) % senders.length]!
      bench.fill(sent, datagrams.slice(from, from + 32))
      await eventually('they are sent', () => {
        sender.send(sent)
        sender.flush()
        work()
        return bench.count(sent) === 0
      })
    }
  }

  it('of a TAP are polled by one engine, and a flow stays at one of them', async () => {
    bench = openBench({ 2048: 2048 })
    const { space, code, worker } = bench
    const namespace = quietNamespace()
    const queues = openTapQueues(space, code, worker, { namespace, queues: 2 })
    closing.push(...queues.map(({ close }) => close))
    assert.deepEqual(
      queues.map(({ name, interfaceName }) => [name, interfaceName]),
      [
        ['tap0 queue 0', 'tap0'],
        ['tap0 queue 1', 'tap0'],
      ],
    )
    const socket = openSocket(namespace, queues[0]!.interfaceIndex)
    const counts = queues.map(({ name }) => count(`of ${name}`))
    const lines = queues.map((queue, index) => [receive(queue), counts[index]!, discard(`end ${index}`)] as const)
    const engine = startEngine(space, code, worker, draw(...lines))
    closing.push(engine.close)
    await sendAll([socket], bench.bundle('sent'), () => void engine.round())
    await eventually('all have come', () => {
      engine.round()
      return counts.reduce((sum, each) => sum + each.read().packets, 0) === PACKETS
    })
    assert.ok(counts.every((each) => each.read().packets > 0 && each.read().packets % (PACKETS / FLOWS) === 0))
  })

  /** All that is sent comes back, and so much of it by each worker. */
  async function echoes(workers: Workers<never>, ends: readonly Device[]): Promise<number[]> {
    const taken = () =>
      workers.statistics().map(({ stages }) => stages.find(({ name }) => name === 'taken')?.packets ?? 0)
    const before = taken()
    const back = bench.bundle(`back ${before}`)
    let arrived = 0
    const take = () => {
      for (const end of ends) {
        arrived += end.receive(back, 256)
        bench.empty(back)
      }
    }
    await sendAll(ends, bench.bundle(`sent ${before}`), take)
    await eventually('all come back', () => {
      take()
      return arrived === PACKETS
    })
    return taken().map((packets, index) => packets - before[index]!)
  }

  /** Both queues of the other end, in this thread. */
  function openFar(end: PairEnd): readonly Device[] {
    const program = loadProgram(REDIRECT_PROGRAM)
    const link = withNamespace(end.namespace, () => attachXdp(program, end))
    const divertFar = (queue: number, fd: number | null) => redirectTo(program, queue, fd)
    const { space, code, worker } = bench
    const far = openXdp(space, code, worker, end, { divert: divertFar, entries: ENTRIES })
    closing.push(program.close, link.close, far.close)
    return far.queues
  }

  const sumOf = (numbers: readonly number[]) => numbers.reduce((sum, each) => sum + each, 0)

  it('of a TAP each have a worker; while one is ended, the other has its flows', async () => {
    bench = openBench({ 2048: 4096 })
    const { space, code, pool } = bench
    const namespace = quietNamespace()
    const settings = { tap: { name: 'shared', namespace } }
    const workers = await startWorkers(tapQueues, space, code, pool, { settings })
    closing.push(workers.close)
    const route = openRoute(namespace)
    const { index } = findLink(route, 'shared')
    closeNetlink(route)
    const socket = openSocket(namespace, index)
    const first = await echoes(workers, [socket])
    assert.equal(sumOf(first), PACKETS)
    assert.ok(
      first.every((packets) => packets > 0),
      `${first}`,
    )
    workers.kill('queue 0')
    await eventually(
      'it runs again',
      () => workers.statistics()[0]!.restarts === 1 && workers.statistics()[0]!.isRunning,
    )
    const second = await echoes(workers, [socket])
    assert.equal(sumOf(second), PACKETS)
    assert.ok(
      second.every((packets) => packets > 0),
      `${second}`,
    )
  })

  it('of a network device each have a worker with its own AF_XDP socket', async () => {
    bench = openBench({ 2048: 8192 })
    const { space, code, pool } = bench
    const pair = createVethPair(2)
    const loaded = loadPolicy(policySource(policy(divert('udp')), { sets: new Map(), interfaceIndex: () => 0 }))
    closing.push(pair.close, loaded.close)
    const { name, index, namespace } = pair.near
    const settings = { device: { name, index, namespace }, sockets: loaded.divertMap(), entries: ENTRIES }
    const workers = await startWorkers(xdpQueues, space, code, pool, { settings })
    closing.push(workers.close)
    const link = withNamespace(namespace, () => loaded.attach(pair.near))
    closing.push(link.close)
    // What is sent by a queue of one end comes in at the same queue of the other.
    const taken = await echoes(workers, openFar(pair.far))
    assert.equal(sumOf(taken), PACKETS)
    assert.ok(
      taken.every((packets) => packets > 0),
      `${taken}`,
    )
  })
})
