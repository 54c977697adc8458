import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, afterEach, before, describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import {
  createWaiter,
  KernelError,
  type Opened,
  openXsk,
  readXskStatistics,
  wakeXskReceive,
  wakeXskTransmit,
  watchDescriptor,
  withNamespace,
  type XskOptions,
  type XskSocket,
  xskRingBytes,
} from '../src/kernel/index.js'
import { attachXdp, type LoadedProgram, loadProgram, type XdpLink } from '../src/loader/index.js'
import { createMemory } from '../src/wasm/index.js'
import { atRest, eventually } from './support/eventually.js'
import { heapGrowth } from './support/heap-growth.js'
import { assertAnswered, pings } from './support/ping.js'
import { REDIRECT_PROGRAM, redirectTo } from './support/redirect-program.js'
import { skipUnless } from './support/require.js'
import { createVethPair, type VethPair } from './support/veth-pair.js'
import { watchWire } from './support/watch-wire.js'
import { placeRings, type XskRings, xskRings } from './support/xsk-rings.js'

const PAGES = 64
const FRAMES = { at: 0, lengthBytes: 2 ** 21, chunkBytes: 2048, headroomBytes: 0 }
const ENTRIES = 512
/** Frames of a queue that are received into; as many more are sent from. */
const RECEIVE_FRAMES = 256

/** Where the rings of a queue lie: behind the frames, one after the other. */
const ringsOf = (queue: number) => placeRings(FRAMES.lengthBytes, ENTRIES, queue)

/** The frames that belong to a queue. */
const frameOf = (queue: number, index: number) => (queue * 2 * RECEIVE_FRAMES + index) * FRAMES.chunkBytes

/** `udp 192.0.2.1 > 192.0.2.2`, with `number` in the last four bytes. */
function frame(number: number): Buffer {
  const bytes = Buffer.alloc(60)
  bytes.write('02000000000b02000000000a0800450000' + '2e000000004011', 'hex')
  bytes.write('c0000201c000020200070009001a0000', 26, 'hex')
  bytes.writeUInt32BE(number, 56)
  return bytes
}

describe('AF_XDP sockets with frames and rings in one linear memory', {
  skip: skipUnless('root', 'tcpdump', 'ping'),
}, () => {
  const memory = createMemory(PAGES, PAGES, true)
  const bytes = new Uint8Array(memory.buffer)
  let pair: VethPair
  let program: LoadedProgram
  let link: XdpLink
  let opened: Opened<XskSocket>[] = []

  /** Sockets at both queues over the same frames, with frames to receive into. */
  function openBoth(more: Partial<XskOptions> = {}): { sockets: XskSocket[]; rings: XskRings[] } {
    for (const queue of [0, 1]) {
      const umem = opened[0]?.socket ?? FRAMES
      const { index: interfaceIndex, namespace } = pair.near
      const socket = openXsk({ memory, namespace, interfaceIndex, queue, umem, rings: ringsOf(queue), ...more })
      opened.push(socket)
      redirectTo(program, queue, socket.socket.fd)
    }
    const sockets = opened.map(({ socket }) => socket)
    const rings = sockets.map((socket) => xskRings(memory, socket))
    rings.forEach((ring, queue) => {
      for (let index = 0; index < RECEIVE_FRAMES; index++) ring.provide(frameOf(queue, index))
    })
    return { sockets, rings }
  }

  function closeAll(): void {
    for (const { close } of opened) close()
    opened = []
  }

  /** UDP from far to near, the packets of a flow numbered in turn, from so many ports that both queues get some. */
  function sendFromFar(count: number, flows = 32): void {
    const send = `
      const sockets = Array.from({ length: ${flows} }, () => require('node:dgram').createSocket('udp4'))
      let left = ${count}
      for (let n = 0; n < ${count}; n++) {
        const payload = Buffer.alloc(22)
        payload.writeUInt32BE(n, 18)
        sockets[n % ${flows}].send(payload, 9, '192.0.2.1', () => --left || sockets.forEach((s) => s.close()))
      }`
    withNamespace(pair.far.namespace, () => execFileSync(process.execPath, ['-e', send]))
  }

  before(() => {
    pair = createVethPair(2)
    program = loadProgram(REDIRECT_PROGRAM)
    link = withNamespace(pair.near.namespace, () => attachXdp(program, pair.near))
  })

  afterEach(closeAll)

  after(() => {
    closeAll()
    link?.close()
    program?.close()
    pair?.close()
  })

  it('receives at both queues what the sender’s tcpdump saw, byte for byte', async () => {
    const { sockets, rings } = openBoth()
    const waiter = createWaiter(sockets.map(({ fd }) => fd))
    assert.equal(waiter.wait(0), 0)
    const wire = await watchWire(pair.far, 'udp')
    sendFromFar(100)
    await eventually('both have some', () => waiter.wait(1000) === 2)
    assert.ok(waiter.isReady(0) && waiter.isReady(1))
    const received: string[][] = rings.map(() => [])
    await eventually('all have come', () => {
      for (const [queue, ring] of rings.entries()) {
        for (let packet = ring.receive(); packet !== null; packet = ring.receive())
          received[queue]!.push(
            Buffer.from(bytes.slice(packet.address, packet.address + packet.length)).toString('hex'),
          )
      }
      return received.flat().length === 100
    })
    assert.ok(received.every((frames) => frames.length > 0))
    assert.deepEqual(received.flat().sort(), (await wire.frames(100)).sort())
    assert.equal(waiter.wait(0), 0)
  })

  it('transmits at both queues, wakes when asked to, and gets its frames back', async () => {
    const { sockets, rings } = openBoth()
    const wire = await watchWire(pair.far, 'udp')
    const sent: string[] = []
    for (const [queue, { fd }] of sockets.entries()) {
      const ring = rings[queue]!
      const addresses = Array.from({ length: 100 }, (_, index) => frameOf(queue, RECEIVE_FRAMES + index))
      addresses.forEach((address, index) => {
        const packet = frame(queue * 1000 + index)
        bytes.set(packet, address)
        sent.push(packet.toString('hex'))
        ring.transmit(address, packet.length)
      })
      assert.ok(ring.wantsWake('transmit'))
      const back: number[] = []
      await eventually('all have been sent', () => {
        wakeXskTransmit(fd)
        for (let address = ring.completed(); address !== null; address = ring.completed()) back.push(address)
        return back.length === 100
      })
      assert.deepEqual(
        back.sort((a, b) => a - b),
        addresses,
      )
    }
    assert.deepEqual((await wire.frames(200)).sort(), sent.sort())
  })

  it('answers ping from the event loop', async () => {
    const { sockets, rings } = openBoth()
    const watches = sockets.map(({ fd }, queue) =>
      watchDescriptor(fd, 'readable', () => {
        for (let packet = rings[queue]!.receive(); packet !== null; packet = rings[queue]!.receive()) {
          answerEcho(bytes.subarray(packet.address, packet.address + packet.length))
          rings[queue]!.transmit(packet.address, packet.length)
          wakeXskTransmit(fd)
        }
      }),
    )
    const [command, ...args] = [...pings(5), '-s', '1000', pair.near.ipv4]
    const ping = withNamespace(pair.far.namespace, () => spawn(command!, args))
    let said = ''
    ping.stdout.on('data', (text) => {
      said += text
    })
    await once(ping, 'close')
    for (const watch of watches) watch.close()
    assertAnswered(said, 5)
  })

  it('loses nothing between two workers on one memory', async () => {
    // Each round fits the frames, whichever queue its packets take: nothing may be lost.
    const [rounds, round] = [4, RECEIVE_FRAMES / 2]
    const count = rounds * round
    const { sockets } = openBoth()
    const total = new Int32Array(new SharedArrayBuffer(4))
    const workers = sockets.map(
      (socket) =>
        new Worker(new URL('./support/xsk-worker.js', import.meta.url), {
          workerData: { memory, socket, total, count },
        }),
    )
    const answers = workers.map((worker) => once(worker, 'message'))
    for (let sent = 0; sent < rounds; sent++) {
      sendFromFar(round)
      await eventually('a round has arrived', () => Atomics.load(total, 0) === (sent + 1) * round)
    }
    const numbers = (await Promise.all(answers)).map(([numbers]) => numbers as number[])
    assert.ok(numbers.every((part) => part.length > 0))
    const seen = numbers.flat().sort((a, b) => a - b)
    assert.deepEqual(
      seen,
      seen.map((_, index) => Math.floor(index / rounds)),
    )
    await Promise.all(workers.map((worker) => worker.terminate()))
  })

  it('counts what found no frame, and what found no room', async () => {
    const rings = ringsOf(0)
    const { namespace, index: interfaceIndex } = pair.near
    const socket = openXsk({
      ...{ memory, namespace, interfaceIndex, queue: 0, umem: FRAMES },
      rings: { ...rings, receive: { ...rings.receive, entries: 4 } },
    })
    opened.push(socket)
    redirectTo(program, 0, socket.socket.fd)
    const statistics = () => readXskStatistics(socket.socket.fd)
    sendFromFar(64)
    await eventually('some have found no frame', () => statistics().fillRingEmpty > 0)
    const fillRingEmpty = await atRest(() => statistics().fillRingEmpty)
    for (let index = 0; index < 64; index++) xskRings(memory, socket.socket).provide(frameOf(0, index))
    sendFromFar(64)
    await eventually('some have found no room', () => statistics().receiveRingFull > 0)
    assert.equal(statistics().fillRingEmpty, fillRingEmpty)
    assert.equal(statistics().receiveInvalid, 0)
  })

  it('gives its queue and its memory back: the next socket binds, and ordinary memory lies where rings were', () => {
    for (let turn = 0; turn < 2; turn++) {
      const { sockets } = openBoth()
      const other = createMemory(PAGES, PAGES, true)
      const { namespace, index: interfaceIndex } = pair.near
      const taken = { memory: other, namespace, interfaceIndex, queue: 1, umem: FRAMES, rings: ringsOf(0) }
      assert.throws(() => openXsk(taken), isCode('EBUSY'))
      assert.equal(sockets.length, 2)
      closeAll()
      for (const { close } of opened) close()
      const from = FRAMES.lengthBytes
      assert.ok(bytes.subarray(from, from + xskRingBytes('fill', ENTRIES)).every((byte) => byte === 0))
    }
  })

  it('takes chunks that begin anywhere, with headroom', async () => {
    const umem = { ...FRAMES, isUnaligned: true, chunkBytes: 3000, headroomBytes: 64 }
    const { namespace, index: interfaceIndex } = pair.near
    const socket = openXsk({ memory, namespace, interfaceIndex, queue: 0, umem, rings: ringsOf(0) })
    opened.push(socket)
    redirectTo(program, 0, socket.socket.fd)
    const rings = xskRings(memory, socket.socket)
    for (let index = 0; index < 64; index++) rings.provide(index * 3000 + (index % 8) * 64 + 10)
    sendFromFar(64)
    const starts = new Set<number>()
    await eventually('packets in several chunks', () => {
      for (let packet = rings.receive(); packet !== null; packet = rings.receive()) {
        const chunk = Math.floor((packet.address - 256 - 64) / 3000)
        starts.add(packet.address - chunk * 3000)
        assert.equal(
          Buffer.from(bytes.slice(packet.address, packet.address + 12)).toString('hex'),
          '02000000000a02000000000b',
        )
      }
      return starts.size > 1
    })
    assert.ok([...starts].every((start) => (start - 256 - 64 - 10) % 64 === 0))
  })

  it('says what it got, allocates nothing to wake, and refuses what does not fit', () => {
    const { sockets } = openBoth({ zeroCopy: 'try', needWakeup: false })
    // A veth has no zero-copy.
    assert.deepEqual(
      sockets.map(({ isZeroCopy, needsWakeup }) => [isZeroCopy, needsWakeup]),
      [
        [false, false],
        [false, false],
      ],
    )
    const { fd } = sockets[0]!
    assert.equal(wakeXskReceive(fd), 0)
    const waiter = createWaiter([fd])
    const calls = 20_000
    const grown = heapGrowth(calls, () => {
      wakeXskReceive(fd)
      wakeXskTransmit(fd)
      waiter.wait(0)
    })
    // A number on the heap has 12 bytes.
    assert.ok(grown < calls * 4, `${grown} bytes in ${calls} calls`)
    closeAll()
    const { namespace, index: interfaceIndex } = pair.near
    const rings = ringsOf(0)
    const options: XskOptions = { memory, namespace, interfaceIndex, queue: 0, umem: FRAMES, rings }
    assert.throws(() => openXsk({ ...options, zeroCopy: 'require' }), isCode('EOPNOTSUPP'))
    assert.throws(() => openXsk({ ...options, queue: 7 }), isCode('EINVAL'))
    assert.throws(() => openXsk({ ...options, interfaceIndex: 4711 }), isCode('ENODEV'))
    const moved = (at: number, entries = ENTRIES) => ({ ...options, rings: { ...rings, fill: { at, entries } } })
    assert.throws(() => openXsk(moved(4096)), /fill ring.*over the UMEM/)
    assert.throws(() => openXsk(moved(FRAMES.lengthBytes + 8)), /multiple of/)
    assert.throws(() => openXsk(moved(rings.fill.at, 500)), /power of two/)
    assert.throws(() => openXsk(moved(memory.buffer.byteLength - 4096, 4096)), /make it larger/)
  })

  it('lets packets pass at a queue without a socket', () => {
    const ping = () => execFileSync('ping', ['-c', '1', pair.near.ipv4], { encoding: 'utf8' })
    assert.match(withNamespace(pair.far.namespace, ping), / 0% packet loss/)
  })
})

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof KernelError && error.code === code
}

/** Turns an ICMP echo request over IPv4 into its reply, in place. */
function answerEcho(packet: Uint8Array): void {
  const swap = (one: number, other: number, length: number) => {
    const first = packet.slice(one, one + length)
    packet.copyWithin(one, other, other + length)
    packet.set(first, other)
  }
  swap(0, 6, 6)
  swap(26, 30, 4)
  packet[34] = 0
  // The type was 8 in the high byte of a word: the sum grows by 0x0800 (RFC 1624).
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  const sum = view.getUint16(36) + 0x0800
  view.setUint16(36, (sum & 0xffff) + (sum >> 16))
}
