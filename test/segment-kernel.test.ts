import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createCapture, createLink } from '../src/device/index.js'
import { type Device, draw, type Engine, receive, send, startEngine } from '../src/engine/index.js'
import {
  createPacketSender,
  type Opened,
  openPacketSocket,
  type PacketSocket,
  setFeatures,
  VNET_HEADER,
} from '../src/kernel/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  FLAG_CHECKSUM_MISSING,
  FLAG_ECN,
  FLAG_IPV6,
  FLAG_TCP,
  FLAG_UDP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_SHIFT,
} from '../src/memory/index.js'
import { segment } from '../src/stages/index.js'
import { createMemory } from '../src/wasm/index.js'
import { foldChecksum, TCP, UDP, write16 } from '../src/wire/index.js'
import { type EngineBench, openBench } from './support/engine.js'
import { type FlowPacket, flowFrame, headersOf, pseudoHeaderSum } from './support/flow-packet.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'
import { createVethPair, type VethPair } from './support/veth-pair.js'
import { watchWire } from './support/watch-wire.js'

const SKIP = skipUnless('root', 'tcpdump')
const PACKETS = 80
const MOST_SEGMENTS = 40
const MOST_PAYLOAD = 60_000
const TIMESTAMP = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]

/** A packet that is to be cut, with the sum of the pseudo header in place of its checksum. */
interface Whole {
  readonly frame: Uint8Array
  readonly segmentBytes: number
  readonly hasEcn: boolean
}

function randomWhole(random: Random): Whole {
  const protocol = random.pick(['tcp', 'tcp', 'udp'] as const)
  const family = random.pick([4, 4, 6] as const)
  const hasEcn = protocol === 'tcp' && random.below(2) === 0
  const segmentBytes = random.pick([1, 7, 100, 536, 1300, 1380])
  const options = protocol === 'tcp' && random.below(2) === 0 ? TIMESTAMP : []
  const most = Math.min(MOST_PAYLOAD, segmentBytes * MOST_SEGMENTS)
  // Linux takes options for payload when it asks whether there is anything to cut, and then drops what there is not.
  const least = options.length > 0 ? segmentBytes + 1 : 1
  const packet: FlowPacket = {
    family,
    protocol,
    payload: Uint8Array.from({ length: least + random.below(most - least + 1) }, () => random.below(256)),
    flow: random.below(4),
    vlans: random.pick([[], [], [5], [5, 6]]),
    sequence: random.pick([1, 0xffff_fff0, random.word()]),
    identification: random.pick([0, 0xfffe, random.below(65_536)]),
    fragment: random.pick([0x4000, 0]),
    // CWR without that flag of virtio-net is for all segments: so GRO has merged them, and no one may send it here.
    flags: random.below(256) & (hasEcn ? 0xff : 0x7f),
    options,
    service: random.below(256),
    ...(family === 4 && random.below(3) === 0
      ? {
          ipOptions: random.pick([
            [1, 1, 1, 0],
            [7, 7, 4, 0, 0, 0, 0, 0],
          ]),
        }
      : {}),
    ...(family === 6 && random.below(3) === 0 ? { extension: { type: 60, bytes: [0, 1, 4, 0, 0, 0, 0] } } : {}),
  }
  const frame = flowFrame(packet)
  const { network, transport, isTcp } = headersOf(frame)
  const sum = pseudoHeaderSum(frame, network, isTcp, frame.length - transport)
  write16(frame, transport + (isTcp ? TCP.checksum : UDP.checksum), ~foldChecksum(sum) & 0xffff)
  return { frame, segmentBytes, hasEcn }
}

describe('segment against the kernel’s own', { skip: SKIP }, () => {
  const memory = createMemory(4, 4, true)
  const bytes = new Uint8Array(memory.buffer)
  let pair: VethPair
  let socket: Opened<PacketSocket>
  let bench: EngineBench
  let ends: readonly [Device, Device]
  let engine: Engine
  let bundle: number

  before(() => {
    pair = createVethPair()
    const { near } = pair
    // So the kernel has to cut what is sent here, and to fill in every checksum.
    const left = ['tx-checksum-ip-generic', 'tx-tcp-segmentation', 'tx-tcp6-segmentation', 'tx-udp-segmentation']
    setFeatures(near.name, Object.fromEntries(left.map((name) => [name, false])), near.namespace)
    const place = { memory, namespace: near.namespace, interfaceIndex: near.index }
    socket = openPacketSocket({ ...place, hasVirtioHeader: true, bypassesQueueing: false })
    bench = openBench({ 2048: 512, 65536: 8 })
    const { space, code, worker } = bench
    ends = createLink(space, code, worker, 'wire')
    engine = startEngine(space, code, worker, draw([receive(ends[1]), segment(), send(ends[1])]))
    bundle = bench.bundle('wire')
  })

  after(() => {
    socket.close()
    pair.close()
    engine.close()
    for (const end of ends) end.close()
    assert.equal(bench.inUse(), 0)
  })

  function sendThroughKernel({ frame, segmentBytes, hasEcn }: Whole): void {
    const { network, transport, isTcp } = headersOf(frame)
    const view = new DataView(memory.buffer)
    const kind = isTcp ? (frame[network]! >> 4 === 4 ? 1 : 4) : 5
    bytes[VNET_HEADER.flags] = 1
    bytes[VNET_HEADER.segmentation] = kind | (hasEcn ? 0x80 : 0)
    view.setUint16(VNET_HEADER.headerLength, headersOf(frame).payload, true)
    view.setUint16(VNET_HEADER.segmentBytes, segmentBytes, true)
    view.setUint16(VNET_HEADER.checksumStart, transport, true)
    view.setUint16(VNET_HEADER.checksumOffset, isTcp ? TCP.checksum : UDP.checksum, true)
    bytes.set(frame, VNET_HEADER.bytes)
    const sender = createPacketSender(memory, socket.socket.fd, 1)
    sender.set(0, 0, VNET_HEADER.bytes + frame.length)
    assert.equal(sender.send(1), 1)
  }

  function throughStage({ frame, segmentBytes, hasEcn }: Whole): string[] {
    const { space, worker } = bench
    const { network, transport, isTcp } = headersOf(frame)
    assert.equal(worker.take(bundle, 1, 65536), 1)
    const [first] = [bundle + BUNDLE_DESCRIPTORS]
    space.bytes.set(frame, bench.packetAt(first, 0))
    space.words[(first + DESCRIPTOR_WIRE) / 4] = frame.length
    space.words[(first + DESCRIPTOR_CAPTURED) / 4] = frame.length
    space.words[(first + DESCRIPTOR_FLAGS) / 4] =
      FLAG_CHECKSUM_MISSING |
      (isTcp ? FLAG_TCP : FLAG_UDP) |
      (frame[network]! >> 4 === 6 ? FLAG_IPV6 : 0) |
      (hasEcn ? FLAG_ECN : 0) |
      (transport << FLAGS_TRANSPORT_SHIFT) |
      (segmentBytes << FLAGS_SEGMENT_SHIFT)
    ends[0].send(bundle)
    engine.round()
    const made: string[] = []
    while (ends[0].receive(bundle, 256) > 0) {
      made.push(...bench.read(bundle).map((each) => Buffer.from(each).toString('hex')))
      for (let index = 0; index < bench.count(bundle); index++)
        assert.equal(space.words[(first + index * DESCRIPTOR_BYTES + DESCRIPTOR_FLAGS) / 4], 0)
      bench.empty(bundle)
    }
    return made
  }

  it('cuts the same packets into the same bytes, and tcpdump finds every checksum right', async (context) => {
    const random = seededRandom(context, 'segment-kernel')
    const wholes = Array.from({ length: PACKETS }, () => randomWhole(random))
    const ours = wholes.map(throughStage)
    const wire = await watchWire(pair.far)
    wholes.forEach(sendThroughKernel)
    const theirs = await wire.frames(ours.flat().length)
    let at = 0
    wholes.forEach((whole, index) => {
      const kernel = theirs.slice(at, at + ours[index]!.length)
      at += kernel.length
      const { segmentBytes, hasEcn } = whole
      const what = JSON.stringify({ index, segmentBytes, hasEcn, ...headersOf(whole.frame) })
      assert.deepEqual(ours[index]!.map(summary), kernel.map(summary), what)
      assert.deepEqual(ours[index], kernel, what)
    })
    const folder = mkdtempSync(join(tmpdir(), 'sluice-segment-'))
    const path = join(folder, 'ours.pcap')
    const writer = createCapture(path, { linkTypeNumber: 1, snapLength: 65535, resolution: 'microseconds' })
    for (const hex of ours.flat()) {
      const data = Buffer.from(hex, 'hex')
      writer.write({ data, wireLength: data.length, seconds: 0, nanoseconds: 0 })
    }
    writer.finish()
    const said = execFileSync('tcpdump', ['-r', path, '-nn', '-vv'], {
      encoding: 'utf8',
      stdio: 'pipe',
      maxBuffer: 2 ** 26,
    })
    rmSync(folder, { recursive: true })
    assert.deepEqual(said.match(/.*(bad (udp )?cksum|\(incorrect).*/g) ?? [], [])
    const right = said.match(/cksum 0x[0-9a-f]{4} \(correct\)|udp sum ok/g) ?? []
    context.diagnostic(`${PACKETS} packets, ${theirs.length} segments`)
    assert.equal(right.length, theirs.length)
  })
})

/** What a reader of a failure wants to see: the headers' bytes and the length. */
function summary(packet: string): string {
  return `${packet.slice(0, 160)} ${packet.length / 2}`
}
