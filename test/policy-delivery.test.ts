import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, afterEach, before, describe, it } from 'node:test'
import { policySource } from '../src/control/policy-source.js'
import {
  KernelError,
  type Opened,
  openXsk,
  possibleCpus,
  withAffinity,
  withNamespace,
  type XskSocket,
} from '../src/kernel/index.js'
import { attachXdp, type LoadedPolicy, loadPolicy, loadProgram } from '../src/loader/index.js'
import { count, divert, forward, mark, pass, policy, type Rule, sample, steer } from '../src/policy/index.js'
import { createMemory } from '../src/wasm/index.js'
import { type BehindHook, lookBehindHook } from './support/behind-hook.js'
import { eventually } from './support/eventually.js'
import { REDIRECT_PROGRAM } from './support/redirect-program.js'
import { skipUnless } from './support/require.js'
import { addVethPair, createVethPair, type VethPair } from './support/veth-pair.js'
import { watchWire } from './support/watch-wire.js'
import { placeRings, type XskRings, xskRings } from './support/xsk-rings.js'

const PAGES = 64
const FRAMES = { at: 0, lengthBytes: 2 ** 21, chunkBytes: 2048, headroomBytes: 0 }
const ENTRIES = 512
const QUEUES = 2
/** Ethernet, IPv4 and UDP. */
const HEADER_BYTES = 42
const PAYLOAD_BYTES = 77

describe('what a policy hands over arrives', { skip: skipUnless('root', 'tcpdump') }, () => {
  const memory = createMemory(PAGES, PAGES, true)
  const bytes = new Uint8Array(memory.buffer)
  let pair: VethPair
  let extra: VethPair
  let loaded: LoadedPolicy
  const toClose: { close(): void }[] = []

  const sourceOf = (...rules: readonly Rule[]) =>
    policySource(policy(...rules), { sets: new Map(), interfaceIndex: () => extra.near.index })

  /** Loads a policy and attaches it to near. */
  function enforce(...rules: readonly Rule[]): void {
    // There, because the kernel looks the index of `out` up in the namespace of whoever loads.
    withNamespace(pair.near.namespace, () => {
      loaded = loadPolicy(sourceOf(...rules))
      toClose.push(loaded, loaded.attach(pair.near, 'native'))
    })
  }

  /** UDP from far to near: `packets` to each of the ports, from as many ports as packets, on one CPU where it is said. */
  function send(packets: number, ports: readonly number[], cpu?: number): void {
    const script = `
      const ports = ${JSON.stringify(ports)}
      const sockets = Array.from({ length: ${packets} }, () => require('node:dgram').createSocket('udp4'))
      let left = ports.length * ${packets}
      sockets.forEach((socket, n) => {
        const payload = Buffer.alloc(${PAYLOAD_BYTES}, n)
        for (const port of ports)
          socket.send(payload, port, '192.0.2.1', () => --left || sockets.forEach((s) => s.close()))
      })`
    const run = () => execFileSync(process.execPath, ['-e', script])
    withNamespace(pair.far.namespace, () => (cpu === undefined ? run() : withAffinity([cpu], run)))
  }

  function openSocket(queue: number): { opened: Opened<XskSocket>; rings: XskRings } {
    const rings = placeRings(FRAMES.lengthBytes, ENTRIES, 0)
    const { namespace, index: interfaceIndex } = pair.near
    const opened = openXsk({ memory, namespace, interfaceIndex, queue, umem: FRAMES, rings })
    toClose.push(opened)
    const use = xskRings(memory, opened.socket)
    for (let index = 0; index < ENTRIES; index++) use.provide(index * FRAMES.chunkBytes)
    return { opened, rings: use }
  }

  function take(rings: XskRings): string[] {
    const frames: string[] = []
    for (let packet = rings.receive(); packet !== null; packet = rings.receive())
      frames.push(Buffer.from(bytes.slice(packet.address, packet.address + packet.length)).toString('hex'))
    return frames
  }

  function look(): BehindHook {
    const behind = withNamespace(pair.near.namespace, () => lookBehindHook(pair.near, HEADER_BYTES + PAYLOAD_BYTES))
    toClose.push(behind)
    return behind
  }

  before(() => {
    pair = createVethPair(QUEUES)
    extra = addVethPair(pair.near)
  })

  afterEach(() => {
    for (const { close } of toClose.splice(0).reverse()) close()
  })

  after(() => {
    extra?.close()
    pair?.close()
  })

  it('divert: to the socket of the queue, byte for byte; at a queue without one, and what does not match, passes', async () => {
    enforce(divert('udp port 9'))
    const { opened, rings } = openSocket(1)
    loaded.divertTo(1, opened.socket.fd)
    const [sent, passed] = await Promise.all([watchWire(pair.far, 'udp'), watchWire(pair.near, 'udp')])
    const behind = look()
    send(40, [9, 10])
    const diverted: string[] = []
    await eventually('all are at the socket or behind the hook', () => {
      diverted.push(...take(rings))
      return diverted.length + behind.marks().unmarked === 80
    })
    const all = await sent.frames(80)
    const rest = await passed.frames(80 - diverted.length)
    assert.ok(diverted.length > 0 && diverted.length < 40, `${diverted.length} of 40 came at queue 1`)
    assert.deepEqual([...diverted, ...rest].sort(), all.sort())
    assert.ok(diverted.every((frame) => frame.slice(72, 76) === '0009'))
    assert.equal(loaded.counts()[0]!.packets, 40)
  })

  it('divert: goes on over replacements, and passes again without a socket', async () => {
    enforce(divert('udp port 9', { name: 'first' }))
    const { opened, rings } = openSocket(0)
    const behind = look()
    const passed = () => behind.marks().unmarked
    /** How many of 32 come to the socket: all others pass. */
    const arrived = async () => {
      const before = passed()
      let count = 0
      send(32, [9])
      await eventually('all are at the socket or behind the hook', () => {
        count += take(rings).length
        return count + passed() - before === 32
      })
      return count
    }
    loaded.divertTo(0, opened.socket.fd)
    assert.ok((await arrived()) > 0)
    loaded.replace(sourceOf(count('udp'), divert('udp port 9', { name: 'second' })))
    assert.ok((await arrived()) > 0)
    loaded.replace(sourceOf(pass('udp')))
    assert.equal(await arrived(), 0)
    loaded.replace(sourceOf(divert('udp port 9')))
    assert.ok((await arrived()) > 0)
    loaded.divertTo(0, null)
    assert.equal(await arrived(), 0)
    loaded.divertTo(0, opened.socket.fd)
    assert.ok((await arrived()) > 0)
    const before = passed()
    opened.close()
    send(32, [9])
    await eventually('all pass', () => passed() === before + 32)
  })

  it('divert: says which queue or socket cannot be', () => {
    enforce(pass('udp'))
    assert.throws(() => loaded.divertTo(0, 1), /no rule of the policy diverts/)
    loaded.replace(sourceOf(divert('udp')))
    assert.throws(() => loaded.divertTo(256, 1), /no receive queue 256/)
    assert.throws(
      () => loaded.divertTo(0, 1),
      (error) => error instanceof KernelError,
    )
    loaded.divertTo(0, null)
  })

  it('steer: another CPU than the sender’s handles the packet', {
    skip: possibleCpus() < 2 && 'needs two CPUs',
  }, async () => {
    enforce(pass('udp'))
    const behind = look()
    const counted = () => behind.cpus().slice(0, 2)
    const sum = (counts: readonly number[]) => counts.reduce((total, next) => total + next, 0)
    let before = counted()
    for (const [from, to] of [
      [1, 0],
      [0, 1],
    ] as const) {
      // By itself a packet stays where it was sent.
      loaded.replace(sourceOf(pass('udp')))
      send(50, [9], from)
      await eventually('all have passed', () => sum(counted()) === sum(before) + 50)
      assert.equal(counted()[from]! - before[from]!, 50)
      before = counted()
      loaded.replace(sourceOf(steer('udp port 9', { cpu: to })))
      send(50, [9], from)
      await eventually('all have passed', () => sum(counted()) === sum(before) + 50)
      assert.equal(counted()[to]! - before[to]!, 50)
      before = counted()
    }
  })

  it('forward: out of another device, as it came', async () => {
    // A veth takes redirected frames once its peer has an XDP program of its own.
    const program = loadProgram(REDIRECT_PROGRAM)
    const link = withNamespace(extra.far.namespace, () => attachXdp(program, extra.far, 'native'))
    toClose.push(program, link)
    enforce(forward('udp port 9', { device: 'out' }))
    const behind = look()
    const [sent, arrived] = await Promise.all([watchWire(pair.far, 'udp port 9'), watchWire(extra.far, 'udp')])
    send(30, [9, 10])
    assert.deepEqual((await arrived.frames(30)).sort(), (await sent.frames(30)).sort())
    await eventually('what does not match passes', () => behind.marks().unmarked === 30)
  })

  it('mark: a program behind the hook reads it', async () => {
    enforce(mark('udp port 9', { value: 0xc0ffee }))
    const behind = look()
    send(20, [9, 10])
    await eventually('all have passed', () => behind.marks().marked + behind.marks().unmarked === 40)
    assert.deepEqual(behind.marks(), { marked: 20, unmarked: 20, last: 0xc0ffee })
  })

  it('sample: the first bytes of real packets, and one in so many of them', async () => {
    enforce(
      sample('udp port 9', { name: 'all', oneIn: 1, bytes: 64 }),
      sample('udp port 9', { name: 'some', oneIn: 4, bytes: 200 }),
    )
    const sent = await watchWire(pair.far, 'udp port 9')
    const behind = look()
    send(200, [9])
    await eventually('all have passed', () => behind.marks().unmarked === 200)
    const samples = loaded.readSamples(1000)
    const frames = await sent.frames(200)
    const hex = (name: string) =>
      samples.filter(({ rule }) => rule === name).map((taken) => Buffer.from(taken.bytes).toString('hex'))
    assert.deepEqual(hex('all').sort(), frames.map((frame) => frame.slice(0, 128)).sort())
    const some = hex('some')
    // Seven standard deviations of the binomial distribution.
    assert.ok(some.length > 7 && some.length < 93, `${some.length} of 200`)
    assert.ok(some.every((frame) => frames.includes(frame)))
    assert.ok(samples.every(({ wireLength }) => wireLength === HEADER_BYTES + PAYLOAD_BYTES))
  })
})
