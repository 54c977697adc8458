import assert from 'node:assert/strict'
import { type ChildProcess, execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { openPacketDevice } from '../src/device/index.js'
import { type Device, draw, receive, send, startEngine } from '../src/engine/index.js'
import { createFrameIo, openPacketSocket, spawnInNamespace, VNET_HEADER, withNamespace } from '../src/kernel/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_FLAGS,
  FLAG_CHECKSUM_MISSING,
  FLAG_TCP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_SHIFT,
} from '../src/memory/index.js'
import { count } from '../src/stages/index.js'
import { type EngineBench, openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { openTapEnd } from './support/open-tap.js'
import { skipUnless } from './support/require.js'

const run = promisify(execFile)
const CURL = { encoding: 'buffer', maxBuffer: 2 ** 24 } as const
const ETHERNET = '02000000000b02000000000a'

describe('TAP and packet devices', { skip: skipUnless('root', 'curl', 'ip') }, () => {
  const closing: (() => void)[] = []
  const children: ChildProcess[] = []
  let bench: EngineBench

  function tapEnd(options = {}, ipv4?: string) {
    const end = openTapEnd(bench, options, ipv4)
    closing.push(end.close, end.device.close)
    return end
  }

  /** A TAP device with a packet socket at its other side. */
  function tapAndSocket(more: Partial<Parameters<typeof openPacketDevice>[3]> = {}) {
    const { device: tap, namespace } = tapEnd()
    const { space, code, worker } = bench
    const place = { name: 'socket', namespace, interfaceIndex: tap.interfaceIndex, isPromiscuous: true }
    const socket = openPacketDevice(space, code, worker, { ...place, ...more })
    closing.push(socket.close)
    return { tap, socket, sent: bench.bundle('sent'), arrived: bench.bundle('arrived') }
  }

  const flags = (bundle: number) => (bundle + BUNDLE_DESCRIPTORS + DESCRIPTOR_FLAGS) / 4

  async function arrival(device: Device, bundle: number): Promise<Uint8Array> {
    while (device.receive(bundle, 1) === 0) await device.wait(1000)
    return bench.read(bundle)[0]!
  }

  afterEach(() => {
    for (const child of children.splice(0)) child.kill()
    for (const close of closing.splice(0).reverse()) close()
    assert.equal(bench.inUse(), 0)
    assert.equal(bench.pool.faults().doubleFree + bench.pool.faults().useAfterFree, 0)
  })

  for (const offloads of ['none', 'checksum', 'segmentation'] as const) {
    it(`carry a web page through a graph, left out by the kernel: ${offloads}`, async () => {
      bench = openBench({ 2048: 1024, 65536: 256 })
      const { space, code, worker } = bench
      const [client, server] = [
        tapEnd({ name: 'client', offloads }, '192.0.2.1'),
        tapEnd({ name: 'server', offloads }, '192.0.2.2'),
      ]
      const [there, back] = [count('there'), count('back')]
      const engine = startEngine(
        space,
        code,
        worker,
        draw([receive(client.device), there, send(server.device)], [receive(server.device), back, send(client.device)]),
      )
      closing.push(engine.close)
      const child = spawnInNamespace(server.namespace, new URL('./support/serve-file.js', import.meta.url), ['1000000'])
      children.push(child)
      let isRunning = true
      const running = (async () => {
        while (isRunning) if (engine.round() === 0) await engine.wait(100)
      })()
      const [document] = (await once(child, 'message')) as [string]
      const fetch = () => run('curl', ['-sS', '-m', '20', 'http://192.0.2.2/'], CURL)
      const { stdout } = await withNamespace(client.namespace, () => ({ fetched: fetch() })).fetched
      isRunning = false
      await running
      assert.ok(Buffer.from(document, 'base64').equals(stdout))
      assert.ok(back.read().bytes > 1_000_000)
      assert.equal(back.read().packets < 500, offloads === 'segmentation', 'whether many segments are one packet')
      const { copiedPackets, receivedPackets, sentPackets, drops } = client.device.statistics()
      assert.equal(copiedPackets, receivedPackets + sentPackets)
      assert.deepEqual(drops, { 'too long': 0, refused: 0 })
    })
  }

  it('hand on which checksum is missing and how long segments are', async () => {
    bench = openBench()
    const { tap, socket, sent, arrived } = tapAndSocket()
    // IPv4 at 14, TCP at 34, 1200 bytes of payload to be cut into segments of 500.
    const packet = Buffer.alloc(54 + 1200, 0x55)
    packet.write(`${ETHERNET}080045${'00'}04d800004000400600${'00'}c0000202c0000201`, 'hex')
    packet.write('03e8000900000001000000015010fffff00d0000', 34, 'hex')
    bench.fill(sent, [packet])
    const left = FLAG_TCP | FLAG_CHECKSUM_MISSING | (34 << FLAGS_TRANSPORT_SHIFT) | (500 << FLAGS_SEGMENT_SHIFT)
    bench.space.words[flags(sent)] = left
    assert.equal(tap.send(sent), 1)
    assert.deepEqual(Buffer.from(await arrival(socket, arrived)), packet)
    assert.equal(bench.space.words[flags(arrived)]! | 0, left)
    bench.empty(arrived)
  })

  it('fill in a checksum that a descriptor cannot speak of, as the kernel does', async () => {
    bench = openBench()
    const io = createFrameIo(bench.space.memory)
    const seen: Uint8Array[] = []
    for (const offloads of ['none', 'checksum'] as const) {
      const { device: tap, namespace, close } = openTapEnd(bench, { offloads })
      const { memory } = bench.space
      const raw = openPacketSocket({ memory, namespace, interfaceIndex: tap.interfaceIndex, hasVirtioHeader: true })
      const place = bench.space.reserve({ name: 'raw', kind: 'state', bytes: 2048 })
      // The checksum of an ICMP message: from byte 34 on, 2 bytes further; of odd length.
      bench.space.bytes.set(Buffer.from('01000000000022000200', 'hex'), place.offset)
      const packet = Buffer.alloc(34 + 75, 0x37)
      packet.write(`${ETHERNET}0800`, 'hex')
      bench.space.bytes.set(packet, place.offset + VNET_HEADER.bytes)
      const length = VNET_HEADER.bytes + packet.length
      assert.equal(io.write(raw.socket.fd, place.offset, length), length)
      const arrived = bench.bundle('arrived')
      seen.push(await arrival(tap, arrived))
      assert.equal(bench.space.words[flags(arrived)], 0)
      assert.notDeepEqual(Buffer.from(seen.at(-1)!), packet)
      bench.empty(arrived)
      for (const name of ['raw', 'test arrived']) bench.space.free(name)
      raw.close()
      tap.close()
      close()
    }
    assert.deepEqual(seen[0], seen[1])
  })

  it('put VLAN tags back that the kernel has taken out', async () => {
    bench = openBench()
    const { tap, socket, sent, arrived } = tapAndSocket()
    for (const tag of ['8100a00708004500', '88a8000108004500', '88a80001810020020800']) {
      const packet = Buffer.alloc(80, 1)
      packet.write(ETHERNET + tag, 'hex')
      bench.fill(sent, [packet])
      tap.send(sent)
      assert.deepEqual(Buffer.from(await arrival(socket, arrived)), packet)
      bench.empty(arrived)
    }
  })

  it('count what is lost by reason', async () => {
    bench = openBench()
    const { tap, socket, sent, arrived } = tapAndSocket({ frameBytes: 2048, blocks: 2, blockBytes: 1 << 16 })
    const frames = (number: number, length: number) => Array.from({ length: number }, () => Buffer.alloc(length, 2))
    bench.fill(sent, frames(1, 1800))
    assert.equal(socket.send(sent), 1, 'taken, though it is longer than the MTU')
    assert.equal(socket.statistics().drops['refused'], 1)
    bench.fill(sent, frames(2, 60))
    bench.space.words[flags(sent)] = FLAG_CHECKSUM_MISSING | FLAG_TCP | (400 << FLAGS_TRANSPORT_SHIFT)
    assert.equal(tap.send(sent), 2)
    assert.deepEqual(tap.statistics().drops, { 'too long': 0, refused: 1 })
    assert.equal(tap.statistics().sentPackets, 1, 'the packet behind it went')
    for (let turn = 0; turn < 10; turn++) {
      bench.fill(sent, frames(40, 1000))
      tap.send(sent)
    }
    await eventually('all are received or counted', () => {
      while (socket.receive(arrived, 64) > 0) bench.empty(arrived)
      const { receivedPackets, drops } = socket.statistics()
      return receivedPackets + drops['kernel ring full']! === 401
    })
    const { drops } = socket.statistics()
    assert.ok(drops['kernel ring full']! > 100)
    socket.close()
    assert.deepEqual(socket.statistics().drops, drops)
  })

  it('have no frame for what is longer than one', async () => {
    bench = openBench({ 512: 256, 2048: 256 })
    const { tap, socket, sent, arrived } = tapAndSocket({ frameBytes: 512 })
    bench.fill(sent, [Buffer.alloc(1000, 3), Buffer.alloc(100, 4)])
    tap.send(sent)
    assert.equal((await arrival(socket, arrived)).length, 100)
    assert.equal(socket.statistics().drops['too long'], 1)
    bench.empty(arrived)
  })

  it('say how the interface stands, and go on when it is up again', async () => {
    bench = openBench()
    const { device: tap, namespace } = tapEnd()
    const { space, code, worker } = bench
    const place = { name: 'socket', namespace, interfaceIndex: tap.interfaceIndex, isPromiscuous: true }
    const socket = openPacketDevice(space, code, worker, place)
    closing.push(socket.close)
    const [sent, arrived] = [bench.bundle('sent'), bench.bundle('arrived')]
    const states = () => [tap.state!(), socket.state!()]
    const ip = (...args: string[]) => withNamespace(namespace, () => execFileSync('ip', args))
    assert.deepEqual(states(), ['up', 'up'])
    ip('link', 'set', tap.name, 'down')
    assert.deepEqual(states(), ['down', 'down'])
    bench.fill(sent, [Buffer.alloc(60, 1)])
    const sleeps = async (device: Device) => {
      let isWoken = false
      void device.wait(60_000).then(() => {
        isWoken = true
      })
      await new Promise((resolve) => setTimeout(resolve, 30))
      assert.equal(isWoken, false, `${device.name} sleeps`)
    }
    for (const device of [tap, socket]) {
      assert.equal(device.send(sent), 0)
      assert.equal(device.receive(arrived, 1), 0)
      await device.wait(1)
      await sleeps(device)
    }
    ip('link', 'set', tap.name, 'up')
    assert.deepEqual(states(), ['up', 'up'])
    assert.equal(tap.send(sent), 1)
    await arrival(socket, arrived)
    bench.empty(arrived)
    ip('link', 'delete', tap.name)
    assert.deepEqual(states(), ['gone', 'gone'])
    for (const device of [tap, socket]) {
      assert.equal(device.receive(arrived, 1), 0)
      await device.wait(1)
      assert.equal(device.isReady(), false)
      await sleeps(device)
    }
    for (const device of [tap, socket]) device.close()
    assert.deepEqual(states(), ['closed', 'closed'])
  })
})
