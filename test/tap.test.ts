import assert from 'node:assert/strict'
import { type ChildProcess, execFile } from 'node:child_process'
import { once } from 'node:events'
import { after, afterEach, describe, it } from 'node:test'
import { promisify } from 'node:util'
import {
  addAddress,
  closeNamespace,
  closeNetlink,
  createFrameIo,
  createNamespace,
  KernelError,
  type NetworkNamespace,
  type Opened,
  openRoute,
  openTap,
  setLink,
  spawnInNamespace,
  type TapOptions,
  type TapSocket,
  VNET_HEADER,
  type Watch,
  watchDescriptor,
  withNamespace,
  writeSysctl,
} from '../src/kernel/index.js'
import { createMemory } from '../src/wasm/index.js'
import { eventually } from './support/eventually.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { watchWire } from './support/watch-wire.js'

const PAGES = 8
const run = promisify(execFile)
const memory = createMemory(PAGES, PAGES, true)
const bytes = new Uint8Array(memory.buffer)
const words = new DataView(memory.buffer)
const frames = createFrameIo(memory)

/** Two hosts with a TAP device each, and this process as the cable between them. */
interface Cable {
  readonly ends: readonly [TapEnd, TapEnd]
  /** Bytes of the longest frame that went through, and frames by the queue they came from. */
  readonly seen: { longest: number; byQueue: number[] }
}

interface TapEnd {
  readonly namespace: NetworkNamespace
  readonly tap: Opened<TapSocket>
  readonly ipv4: string
}

describe('TAP devices', { skip: skipUnless('root', 'ping', 'tcpdump', 'curl') }, () => {
  const ends: TapEnd[] = []
  const watches: Watch[] = []
  const children: ChildProcess[] = []

  function openEnd(ipv4: string, options: TapOptions): TapEnd {
    const namespace = createNamespace()
    const tap = openTap({ ...options, namespace })
    ends.push({ namespace, tap, ipv4 })
    writeSysctl(namespace, 'ipv6/conf/all/disable_ipv6', 1)
    const route = openRoute(namespace)
    addAddress(route, tap.socket.index, `${ipv4}/24`)
    setLink(route, tap.socket.index, { up: true })
    closeNetlink(route)
    return ends.at(-1)!
  }

  function connect(options: TapOptions = {}): Cable {
    const both = [openEnd('192.0.2.1', options), openEnd('192.0.2.2', options)] as const
    const seen = { longest: 0, byQueue: [0, 0] }
    for (const [from, to] of [both, [both[1], both[0]]] as const) {
      const { fds, mostBytes } = from.tap.socket
      fds.forEach((fd, queue) => {
        const pump = () => {
          for (let length = frames.read(fd, 0, mostBytes); length > 0; length = frames.read(fd, 0, mostBytes)) {
            seen.longest = Math.max(seen.longest, length - VNET_HEADER.bytes)
            seen.byQueue[queue]!++
            frames.write(to.tap.socket.fds[queue]!, 0, length)
          }
        }
        watches.push(watchDescriptor(fd, 'readable', pump))
      })
    }
    return { ends: both, seen }
  }

  /** Fetches a document of so many bytes from one host to the other with curl. */
  async function fetchDocument([client, server]: readonly [TapEnd, TapEnd], lengthBytes: number): Promise<void> {
    const child = spawnInNamespace(server.namespace, new URL('./support/serve-file.js', import.meta.url), [
      `${lengthBytes}`,
    ])
    children.push(child)
    const [document] = (await once(child, 'message')) as [string]
    const fetch = () => run('curl', ['-sS', '-m', '20', `http://${server.ipv4}/`], CURL)
    const { stdout } = await withNamespace(client.namespace, () => ({ fetched: fetch() })).fetched
    assert.ok(Buffer.from(document, 'base64').equals(stdout))
  }

  afterEach(() => {
    for (const watch of watches.splice(0)) watch.close()
    for (const child of children.splice(0)) child.kill()
    for (const { tap, namespace } of ends.splice(0)) {
      tap.close()
      tap.close()
      closeNamespace(namespace)
    }
  })

  after(() => assert.equal(ends.length, 0))

  it('carry ping and a web page', async () => {
    const { ends: both, seen } = connect()
    const [command, ...args] = pings(3)
    const ping = withNamespace(both[0].namespace, () => ({ said: run(command!, [...args, both[1].ipv4]) }))
    assertAnswered((await ping.said).stdout, 3)
    await fetchDocument(both, 200_000)
    assert.equal(seen.longest, 1514)
    assert.deepEqual(both[0].tap.socket.offloads, { checksum: false, tcp: false, udp: false })
  })

  it('hand over uncut segments without checksums, and take them', async () => {
    const { ends: both, seen } = connect({ offloads: 'segmentation' })
    assert.ok(both[0].tap.socket.offloads.checksum && both[0].tap.socket.offloads.tcp)
    await fetchDocument(both, 2_000_000)
    assert.ok(seen.longest > 4000, `the longest frame had ${seen.longest} bytes`)
  })

  it('spread flows over queues', async () => {
    const { ends: both, seen } = connect({ queues: 2 })
    const send = `
      const sockets = Array.from({ length: 32 }, () => require('node:dgram').createSocket('udp4'))
      let left = sockets.length
      for (const s of sockets) s.send('x', 9, '${both[1].ipv4}', () => --left || sockets.forEach((s) => s.close()))`
    const sent = withNamespace(both[0].namespace, () => ({ done: run(process.execPath, ['-e', send]) }))
    await sent.done
    await fetchDocument(both, 10_000)
    assert.ok(
      seen.byQueue.every((count) => count > 0),
      `${seen.byQueue}`,
    )
  })

  it('give what tcpdump sees, byte for byte, and deliver what is written', async () => {
    const { namespace, tap } = openEnd('192.0.2.1', {})
    const { fds, name } = tap.socket
    const [fd] = fds as [number]
    assert.equal(frames.read(fd, 0, 2048), -11, 'EAGAIN: nothing has been sent')
    const wire = await watchWire({ namespace, name }, 'arp')
    // Asks who has 192.0.2.1; the kernel answers.
    const request = Buffer.from(
      'ffffffffffff02000000000b080600010800060400010200000000' + '0bc0000202000000000000c0000201',
      'hex',
    )
    bytes.fill(0, 0, VNET_HEADER.bytes)
    bytes.set(request, VNET_HEADER.bytes)
    assert.equal(frames.write(fd, 0, VNET_HEADER.bytes + request.length), VNET_HEADER.bytes + request.length)
    let length = 0
    await eventually('an answer', () => {
      length = frames.read(fd, 4096, 2048)
      return length > 0
    })
    const answer = Buffer.from(bytes.slice(4096 + VNET_HEADER.bytes, 4096 + length)).toString('hex')
    assert.deepEqual(await wire.frames(2), [request.toString('hex'), answer])
    assert.equal(words.getUint8(4096 + VNET_HEADER.segmentation), 0)
  })

  it('refuse what cannot be', () => {
    const { namespace, tap } = openEnd('192.0.2.1', { name: 'once' })
    const isCode = (code: string) => (error: unknown) => error instanceof KernelError && error.code === code
    assert.throws(() => openTap({ namespace, name: 'once' }), isCode('EBUSY'))
    assert.throws(() => openTap({ namespace, name: 'a name of 16 byt' }), RangeError)
    assert.equal(frames.read(tap.socket.fds[0]!, bytes.length - 100, 101), -14, 'EFAULT: beyond the memory')
    tap.close()
    const again = openTap({ namespace, name: 'once' })
    assert.equal(again.socket.name, 'once')
    again.close()
  })
})

const CURL = { encoding: 'buffer', maxBuffer: 2 ** 24 } as const
