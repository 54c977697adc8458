import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  createPacketSender,
  type Opened,
  openPacketSocket,
  PACKET_BLOCK,
  PACKET_HEADER,
  type PacketSender,
  type PacketSocket,
  setFeatures,
  writeDeviceAttribute,
} from '../src/kernel/index.js'
import { gro } from '../src/stages/index.js'
import { createMemory } from '../src/wasm/index.js'
import { flowFrame, headersOf } from './support/flow-packet.js'
import { openStageRig, type StageRig } from './support/gro-rig.js'
import { seededRandom } from './support/random.js'
import { randomFlows } from './support/random-flows.js'
import { skipUnless } from './support/require.js'
import { createVethPair, type VethPair } from './support/veth-pair.js'

const PAGES = 64
const RING = { at: 2 ** 20, blocks: 16, blockBytes: 2 ** 17 }
/** Less than one poll of the kernel takes. */
const MOST_PACKETS = 50
/** Attempts for one row of packets: the kernel also lets go what has waited over a tick of its clock. */
const ATTEMPTS = 100

describe('gro against the kernel’s own', { skip: skipUnless('root') }, () => {
  const memory = createMemory(PAGES, PAGES, true)
  const bytes = new Uint8Array(memory.buffer)
  const view = new DataView(memory.buffer)
  let pair: VethPair
  let sender: PacketSender
  const sockets: Opened<PacketSocket>[] = []
  let rig: StageRig
  let block = 0

  before(() => {
    pair = createVethPair()
    const { near, far } = pair
    // With segmentation offloads at its peer, a veth takes packets for merged already.
    const segmentation = [
      'tx-tcp-segmentation',
      'tx-tcp-ecn-segmentation',
      'tx-tcp6-segmentation',
      'tx-tcp-mangleid-segmentation',
    ]
    setFeatures(near.name, Object.fromEntries(segmentation.map((name) => [name, false])), near.namespace)
    setFeatures(far.name, { 'rx-gro': true, 'rx-udp-gro-forwarding': true }, far.namespace)
    // After the first packet, the receiver waits so long, and then takes all that have come at once.
    writeDeviceAttribute(far.namespace, far.name, 'gro_flush_timeout', 3_000_000)
    writeDeviceAttribute(far.namespace, far.name, 'napi_defer_hard_irqs', 1)
    sockets.push(openPacketSocket({ memory, namespace: near.namespace, interfaceIndex: near.index }))
    sockets.push(
      openPacketSocket({ memory, namespace: far.namespace, interfaceIndex: far.index, ring: RING, retireMs: 1 }),
    )
    sender = createPacketSender(memory, sockets[0]!.socket.fd, MOST_PACKETS)
    rig = openStageRig(gro())
  })

  after(() => {
    for (const { close } of sockets) close()
    pair.close()
    rig.close()
    assert.equal(rig.bench.inUse(), 0)
  })

  /** What the kernel hands on of these frames, from the network header on, when nothing more comes. */
  async function throughKernel(frames: readonly Uint8Array[]): Promise<string[]> {
    frames.forEach((frame, index) => {
      bytes.set(frame, index * 2048)
      sender.set(index, index * 2048, frame.length)
    })
    assert.equal(sender.send(frames.length), frames.length)
    const arrived: string[] = []
    for (let quiet = 0; quiet < 4; quiet++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      const more = readRing()
      if (more.length > 0) quiet = 0
      arrived.push(...more)
    }
    return arrived.sort()
  }

  function readRing(): string[] {
    const packets: string[] = []
    for (;;) {
      const start = RING.at + block * RING.blockBytes
      if ((view.getUint32(start + PACKET_BLOCK.status, true) & 1) === 0) return packets
      let at = start + view.getUint32(start + PACKET_BLOCK.firstPacket, true)
      for (let left = view.getUint32(start + PACKET_BLOCK.packets, true); left > 0; left--) {
        const frame = at + view.getUint16(at + PACKET_HEADER.frame, true)
        packets.push(fromNetwork(bytes.slice(frame, frame + view.getUint32(at + PACKET_HEADER.captured, true))))
        at += view.getUint32(at + PACKET_HEADER.next, true)
      }
      view.setUint32(start + PACKET_BLOCK.status, 0, true)
      block = (block + 1) % RING.blocks
    }
  }

  it('merges the same packets to the same bytes', async (context) => {
    const random = seededRandom(context, 'gro-kernel')
    for (let turn = 0; turn < 60; turn++) {
      // A kernel that was built without VLANs merges nothing that is tagged, and ours here is one.
      const frames = randomFlows(random, 1 + random.below(4), 2 + random.below(MOST_PACKETS - 2))
        .filter(({ vlans = [] }) => vlans.length === 0)
        .map(flowFrame)
        .filter(({ length }) => length <= 1514)
      const ours = rig
        .round(frames)
        .map(({ bytes }) => fromNetwork(bytes))
        .sort()
      let theirs: string[] = []
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        theirs = await throughKernel(frames)
        if (theirs.join() === ours.join()) break
      }
      assert.deepEqual(theirs.map(summary), ours.map(summary), `row ${turn}`)
      assert.deepEqual(theirs, ours)
    }
  })
})

/** The kernel has taken the outer VLAN tag out of the packet. */
function fromNetwork(frame: Uint8Array): string {
  return Buffer.from(frame.slice(headersOf(frame).network)).toString('hex')
}

/** What a reader of a failure wants to see: the headers' bytes and the length. */
function summary(packet: string): string {
  return `${packet.slice(0, 120)} ${packet.length / 2}`
}
