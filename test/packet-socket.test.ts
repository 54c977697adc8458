import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, afterEach, before, describe, it } from 'node:test'
import {
  createFrameIo,
  createPacketSender,
  createWaiter,
  getAffinity,
  KernelError,
  type Opened,
  openPacketSocket,
  PACKET_BLOCK,
  PACKET_HEADER,
  type PacketOptions,
  type PacketSocket,
  readPacketStatistics,
  withAffinity,
  withNamespace,
  writeSysctl,
} from '../src/kernel/index.js'
import { createMemory } from '../src/wasm/index.js'
import { eventually } from './support/eventually.js'
import { heapGrowth } from './support/heap-growth.js'
import { skipUnless } from './support/require.js'
import { createVethPair, type VethPair } from './support/veth-pair.js'
import { watchWire } from './support/watch-wire.js'

const PAGES = 32
const RING = { at: 2 ** 20, blocks: 8, blockBytes: 2 ** 16 }

/** The kernel may say something of its own at any time, ARP for example. */
const isUdp = (frame: string) => frame.slice(24, 28) === '0800' && frame.slice(46, 48) === '11'

describe('packet sockets with a ring in linear memory', { skip: skipUnless('root', 'tcpdump') }, () => {
  const memory = createMemory(PAGES, PAGES, true)
  const bytes = new Uint8Array(memory.buffer)
  const view = new DataView(memory.buffer)
  let pair: VethPair
  const opened: Opened<PacketSocket>[] = []

  function open(more: Partial<PacketOptions> = { ring: RING }): PacketSocket {
    const { namespace, index: interfaceIndex } = pair.near
    opened.push(openPacketSocket({ memory, namespace, interfaceIndex, ...more }))
    return opened.at(-1)!.socket
  }

  /** A reader that gives the frames of the blocks that are ours, as hexadecimal text, and gives the blocks back. */
  function reader({ ring }: PacketSocket): () => string[] {
    let block = 0
    return () => {
      const frames: string[] = []
      for (;;) {
        const start = ring!.at + block * ring!.blockBytes
        if ((view.getUint32(start + PACKET_BLOCK.status, true) & 1) === 0) return frames
        let at = start + view.getUint32(start + PACKET_BLOCK.firstPacket, true)
        for (let left = view.getUint32(start + PACKET_BLOCK.packets, true); left > 0; left--) {
          const frame = at + view.getUint16(at + PACKET_HEADER.frame, true)
          assert.equal((frame - start) % 8, 2)
          const length = view.getUint32(at + PACKET_HEADER.captured, true)
          frames.push(Buffer.from(bytes.slice(frame, frame + length)).toString('hex'))
          at += view.getUint32(at + PACKET_HEADER.next, true)
        }
        view.setUint32(start + PACKET_BLOCK.status, 0, true)
        block = (block + 1) % ring!.blocks
      }
    }
  }

  function sendFromFar(count: number, lengthBytes = 100): void {
    const send = `
      const socket = require('node:dgram').createSocket('udp4')
      let left = ${count}
      for (let n = 0; n < ${count}; n++)
        socket.send(Buffer.alloc(${lengthBytes}, n), 9, '192.0.2.1', () => --left || socket.close())`
    // From one core: what another one has sent may overtake.
    withNamespace(pair.far.namespace, () =>
      withAffinity([getAffinity(0)[0]!], () => execFileSync(process.execPath, ['-e', send])),
    )
  }

  before(() => {
    pair = createVethPair()
    // Nobody listens to the packets that are counted here, and the kernel would say so now and then.
    writeSysctl(pair.near.namespace, 'ipv4/icmp_ratelimit', 600_000)
  })

  afterEach(() => {
    for (const { close } of opened.splice(0)) {
      close()
      close()
    }
  })

  after(() => pair?.close())

  it('receives what the sender’s tcpdump saw, byte for byte, and sleeps between', async () => {
    const socket = open()
    const waiter = createWaiter([socket.fd])
    assert.equal(waiter.wait(0), 0)
    const wire = await watchWire(pair.far, 'udp')
    sendFromFar(200)
    const read = reader(socket)
    const frames: string[] = []
    while (frames.length < 200 && waiter.wait(20_000) > 0) frames.push(...read().filter(isUdp))
    assert.deepEqual(frames, await wire.frames(200))
    const { packets, drops } = readPacketStatistics(socket.fd)
    assert.ok(packets >= 200 && drops === 0)
    assert.equal(readPacketStatistics(socket.fd).packets, 0, 'counted since the last reading')
  })

  it('counts what it had no block for', async () => {
    const socket = open()
    sendFromFar(900, 1400)
    let [packets, drops, freezes] = [0, 0, 0]
    const count = () => {
      const more = readPacketStatistics(socket.fd)
      packets += more.packets
      drops += more.drops
      freezes += more.freezes
    }
    await eventually('all are counted', () => {
      count()
      return packets >= 900
    })
    assert.ok(drops > 0 && freezes > 0, `${drops} of ${packets} were lost`)
    const read = reader(socket)
    const frames: string[] = []
    await eventually('every packet that was not lost is there', () => {
      frames.push(...read())
      count()
      return frames.length === packets - drops
    })
  })

  it('sends one frame a call and many, as tcpdump sees them', async () => {
    const socket = open({})
    assert.equal(socket.ring, null)
    const wire = await watchWire(pair.far, 'ether proto 0x88b5')
    const sender = createPacketSender(memory, socket.fd, 64)
    const io = createFrameIo(memory)
    const sent: string[] = []
    for (let index = 0; index < 64; index++) {
      const frame = Buffer.alloc(60 + index, index)
      frame.write('02000000000b02000000000a88b5', 'hex')
      bytes.set(frame, index * 2048 + 2)
      sent.push(frame.toString('hex'))
      if (index < 32) assert.equal(io.write(socket.fd, index * 2048 + 2, frame.length), frame.length)
      else assert.equal(sender.set(index - 32, index * 2048 + 2, frame.length), 0)
    }
    assert.equal(sender.send(32), 32)
    assert.deepEqual(await wire.frames(64), sent)
    assert.equal(sender.set(0, bytes.length - 10, 11), -14, 'EFAULT: beyond the memory')
  })

  it('shares packets in a fanout group, and hears other addresses when promiscuous', async () => {
    const group = { fanout: { group: 7, mode: 'round-robin' }, isPromiscuous: true } as const
    const sockets = [RING, { ...RING, at: RING.at + RING.blocks * RING.blockBytes }].map((ring) =>
      open({ ...group, ring }),
    )
    const ip = (...args: string[]) =>
      withNamespace(pair.near.namespace, () => execFileSync('ip', args, { encoding: 'utf8' }))
    assert.match(ip('-d', 'link', 'show', 'near'), /promiscuity [1-9]/)
    sendFromFar(100)
    const frames: string[][] = sockets.map(() => [])
    const readers = sockets.map(reader)
    await eventually('both have their share', () => {
      for (const [index, read] of readers.entries()) frames[index]!.push(...read().filter(isUdp))
      return frames.flat().length === 100
    })
    const [one, other] = frames.map(({ length }) => length) as [number, number]
    assert.ok(Math.abs(one - other) <= 4, `${one} and ${other}`)
    for (const { close } of opened) close()
    assert.match(ip('-d', 'link', 'show', 'near'), /promiscuity 0/)
  })

  it('allocates nothing for a frame', () => {
    const socket = open({})
    const sender = createPacketSender(memory, socket.fd, 8)
    const io = createFrameIo(memory)
    bytes.set(Buffer.from('02000000000b02000000000a88b5', 'hex'), 2)
    const calls = 20_000
    const grown = {
      write: heapGrowth(calls, () => io.write(socket.fd, 2, 60)),
      // Nothing is there.
      read: heapGrowth(calls, () => io.read(socket.fd, 4096, 2048)),
      many: heapGrowth(calls, (n) => {
        sender.set(n & 7, 2, 60)
        if ((n & 7) === 7) sender.send(8)
      }),
    }
    // A number on the heap has 12 bytes; the compiler may be at work the first thousand calls.
    for (const [name, bytes] of Object.entries(grown))
      assert.ok(bytes < calls * 4, `${name}: ${bytes} bytes in ${calls} calls`)
  })

  it('gives its memory back, and refuses what does not fit', () => {
    open()
    for (const { close } of opened) close()
    assert.ok(bytes.subarray(RING.at, RING.at + RING.blocks * RING.blockBytes).every((byte) => byte === 0))
    assert.throws(() => open({ ring: { ...RING, at: 100 } }), /multiple of/)
    assert.throws(() => open({ ring: { ...RING, blocks: 100 } }), /make it larger/)
    const isCode = (code: string) => (error: unknown) => error instanceof KernelError && error.code === code
    assert.throws(() => open({ ring: { ...RING, blockBytes: 3000 } }), isCode('EINVAL'))
    assert.throws(() => open({ interfaceIndex: 4711 }), isCode('ENODEV'))
  })
})
