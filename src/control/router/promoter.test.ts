import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Random, seededRandom } from '../../../test/support/random.js'
import { type TranslatedPacket, translatedFrame } from '../../../test/support/translated-packet.js'
import {
  ADDRESSES,
  address,
  FAMILIES,
  HOST_MACS,
  INSIDE,
  MACS,
  OUTSIDE,
  openTranslator,
  outsidePort,
  prefix,
} from '../../../test/support/translator.js'
import type { NatRule } from '../../flow/index.js'
import { parseAddress } from '../../kernel/index.js'
import type { OffloadFlow, OffloadKey, Tier } from '../../offload/index.js'
import { openPromoter } from './promoter.js'

const INDICES = [10, 11]
const LOOK_MS = 200
const ACK = 0x10

/** A tier in memory, whose packets somebody counts by hand. */
function openTier(capacity: number): Tier & { readonly flows: Map<string, OffloadFlow & { packets: number }> } {
  const flows = new Map<string, OffloadFlow & { packets: number }>()
  const nameOf = (key: OffloadKey) => JSON.stringify(key)
  return {
    name: 'memory',
    capacity,
    flows,
    install(flow) {
      if (flows.size >= capacity) return false
      flows.set(nameOf(flow.key), { ...flow, packets: 0 })
      return true
    },
    withdraw(key) {
      const flow = flows.get(nameOf(key))
      flows.delete(nameOf(key))
      return flow ? { key, packets: flow.packets, bytes: 0 } : null
    },
    counters: () => [...flows.values()].map(({ key, packets }) => ({ key, packets, bytes: 0 })),
    invalidate: () => flows.clear(),
  }
}

/** A router's engine that translates, and a promoter that is told when to look. */
function openRig(nat: readonly NatRule[] = [], { flows = 4096, capacity = 64 } = {}) {
  let clock = 0
  const translator = openTranslator(nat, () => clock, flows)
  const { space, tables } = translator
  const flowsAt = space.reserve({ name: 'test flows', kind: 'state', bytes: 64 }).offset
  space.words[flowsAt / 4] = translator.flows.address
  const tier = openTier(capacity)
  const promoter = openPromoter({
    space,
    flowsAt: [flowsAt, flowsAt + 4],
    generation: tables.generation,
    tier,
    ports: INDICES,
  })
  return {
    ...{ translator, tier, promoter },
    /** The frame that leaves, if one does, and by what. */
    send: (from: number, packet: TranslatedPacket) =>
      translator.pass(from, translatedFrame(packet, HOST_MACS[from]!, MACS[from]!)),
    look() {
      clock += LOOK_MS
      translator.flows.tick()
      promoter.look(clock)
    },
    close() {
      promoter.close()
      assert.equal(tier.flows.size, 0)
      translator.close()
    },
  }
}

type Rig = ReturnType<typeof openRig>

function packetOf(protocol: 'tcp' | 'udp', number: number, family: 4 | 6 = 4): TranslatedPacket {
  return {
    protocol,
    source: address(family, 'client', number),
    destination: address(family, 'server', 1),
    sourcePort: 5000 + number,
    destinationPort: 53,
    payload: new Uint8Array(protocol === 'udp' ? 20 : 0),
    isReply: false,
  }
}

function answerTo(packet: TranslatedPacket): TranslatedPacket {
  const { source, destination, sourcePort, destinationPort } = packet
  const turned = { source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort }
  return { ...packet, ...turned }
}

const asSegment = (packet: TranslatedPacket, flags = ACK): TranslatedPacket =>
  packet.protocol === 'tcp' ? { ...packet, flags, sequence: 2, acknowledged: 2 } : packet

/** What the receiver of a packet sees of it: its addresses and ports are read, and the rest compared. */
function seen(rig: Rig, from: number, packet: TranslatedPacket): TranslatedPacket {
  const { frame } = rig.send(from, packet)!
  const isIpv4 = packet.source.length === 4
  const [at, bytes] = isIpv4 ? [26, 4] : [22, 16]
  const ports = new DataView(frame.buffer, at + 2 * bytes)
  const source = frame.slice(at, at + bytes)
  const destination = frame.slice(at + bytes, at + 2 * bytes)
  const translated = {
    ...packet,
    source,
    destination,
    sourcePort: ports.getUint16(0),
    destinationPort: ports.getUint16(2),
  }
  assert.deepEqual(frame.slice(14), translatedFrame({ ...translated, hops: 63 }, MACS[0], MACS[1]).slice(14))
  return translated
}

/** Opens a flow; of TCP, whose segments from then on are acknowledgements in their windows. Gives its packets of both directions as they are sent. */
function converse(rig: Rig, from: number, packet: TranslatedPacket): readonly [TranslatedPacket, TranslatedPacket] {
  const isTcp = packet.protocol === 'tcp'
  const answer = answerTo(seen(rig, from, isTcp ? { ...packet, flags: 2, sequence: 1 } : packet))
  if (isTcp) rig.send(1 - from, { ...answer, flags: 0x12, sequence: 1, acknowledged: 2 })
  rig.send(from, asSegment(packet))
  return [asSegment(packet), asSegment(answer)]
}

describe('flows that are promoted', () => {
  it('are those that were busy at several looks, and live on in the engine while the tier has their packets', () => {
    const rig = openRig()
    for (let look = 0; look < 3; look++) {
      assert.equal(rig.promoter.flows(), 0)
      rig.send(INSIDE, packetOf('udp', 1))
      rig.look()
    }
    assert.equal(rig.promoter.flows(), 1)
    const [flow] = rig.tier.flows.values()
    assert.deepEqual([flow!.key.from, flow!.out, flow!.longestBytes], [...INDICES, 48])
    for (let look = 0; look < 400; look++, flow!.packets++) rig.look()
    assert.equal(rig.promoter.flows(), 1)
    // Nobody sends any more: after 30 seconds the engine forgets it, and the tier has it no longer.
    for (let look = 0; look < 400; look++) rig.look()
    assert.equal(rig.promoter.flows(), 0)
    assert.equal(rig.translator.flows.statistics().expired, 1)
    rig.close()
  })

  it('are promoted in a table that one look does not get through', () => {
    const rig = openRig([], { flows: 150_000 })
    for (let look = 0; look < 12; look++) {
      rig.send(INSIDE, packetOf('udp', 1))
      rig.look()
    }
    assert.equal(rig.promoter.flows(), 1)
    rig.close()
  })

  it('are of UDP with answers only when a full table would keep them', () => {
    const rig = openRig()
    const [asked, answer] = [packetOf('udp', 1), answerTo(packetOf('udp', 1))]
    for (let look = 0; look < 14; look++) {
      rig.send(INSIDE, asked)
      rig.send(OUTSIDE, answer)
      rig.look()
      assert(rig.translator.flows.list()[0]!.isAssured || rig.promoter.flows() === 0)
    }
    assert.equal(rig.tier.flows.size, 2)
    // One that nobody has answered so far is the engine's again with its first answer.
    for (let look = 0; look < 4; look++) {
      rig.send(INSIDE, packetOf('udp', 2))
      rig.look()
    }
    assert.equal(rig.promoter.flows(), 2)
    rig.send(OUTSIDE, answerTo(packetOf('udp', 2)))
    rig.look()
    assert.equal(rig.promoter.flows(), 1)
    rig.close()
  })

  it('end with the connection, and are none before it is established', () => {
    const rig = openRig()
    for (let look = 0; look < 4; look++) {
      rig.send(INSIDE, packetOf('tcp', 1))
      rig.look()
    }
    assert.equal(rig.promoter.flows(), 0)
    const packets = converse(rig, INSIDE, packetOf('tcp', 2))
    for (let look = 0; look < 4; look++) {
      for (const [from, packet] of packets.entries()) rig.send(from, packet)
      rig.look()
    }
    assert.equal(rig.tier.flows.size, 2)
    // The engine has not seen what came between, and takes no offence.
    const last = { ...packets[0], flags: 0x11, sequence: 1 << 30, acknowledged: 1 << 30 }
    assert.equal(rig.send(INSIDE, last)?.by, 'cached 0 1')
    rig.look()
    assert.equal(rig.promoter.flows(), 0)
    rig.close()
  })

  it('become in the tier what they become in the engine, translated or not, and never by an answer that was taken back', (context) => {
    const random = seededRandom(context, 'promoter')
    const rig = openRig(RULES, { capacity: 24 })
    const { tables, lead } = rig.translator
    const conversations = Array.from({ length: 24 }, (_, number) => randomConversation(random, rig, number))
    const changes = [
      () => lead(random.pick([INSIDE, OUTSIDE]), random.pick([0, 1])),
      () =>
        tables.setPort(OUTSIDE, { ...outsidePort(ADDRESSES[4].own, ADDRESSES[6].own), mtu: 1400 + random.below(100) }),
      () => rig.promoter.suspend(),
    ]
    let [most, translated] = [0, 0]
    for (let turn = 0; turn < 600; turn++) {
      const busy = conversations.filter(() => random.below(3) > 0)
      for (const { begin, packets } of busy)
        for (const [at, packet] of packets.entries()) rig.send(at === 0 ? begin : 1 - begin, packet)
      rig.look()
      most = Math.max(most, rig.tier.flows.size)
      for (const { begin, packets } of conversations)
        packets.forEach((packet, at) => {
          if (assertTierAgrees(rig, at === 0 ? begin : 1 - begin, packet)) translated++
        })
      if (random.below(10) > 0) continue
      const [generation, change] = [tables.generation(), random.pick(changes)]
      change()
      if (change !== changes[2] && tables.generation() === generation) continue
      rig.promoter.changed()
      assert.equal(rig.tier.flows.size, 0)
    }
    assert(most > 16 && translated > 100, `${most} directions at once, ${translated} packets translated`)
    rig.close()
  })
})

const RULES: readonly NatRule[] = [
  ...FAMILIES.map((family): NatRule => {
    const to = { ...prefix(ADDRESSES[family].own, family === 4 ? 32 : 128), protocol: 17, port: 80 }
    return { kind: 'destination', to, address: address(family, 'client', 9), port: 8080 }
  }),
  { kind: 'source', from: prefix('10.0.0.0', 29), outPort: OUTSIDE, to: parseAddress(ADDRESSES[4].pool) },
  { kind: 'source', from: prefix('fd00::', 125), outPort: OUTSIDE, to: parseAddress(ADDRESSES[6].pool) },
]

/** From inside, of which some sources are translated, or from outside to what is published. */
function randomConversation(random: Random, rig: Rig, number: number) {
  const begin = random.below(3) === 0 ? OUTSIDE : INSIDE
  const family = random.pick(FAMILIES)
  const inner = packetOf(random.pick(['tcp', 'udp']), 1 + number, family)
  const published = { destination: parseAddress(ADDRESSES[family].own), destinationPort: 80, source: inner.destination }
  const packet =
    begin === INSIDE ? inner : { ...inner, ...published, protocol: 'udp' as const, payload: new Uint8Array(20) }
  return { begin, packets: converse(rig, begin, packet) }
}

/** Where the tier has the packet's flow, what it would send is what the engine sends. Whether it was translated. */
function assertTierAgrees(rig: Rig, from: number, packet: TranslatedPacket): boolean {
  const isOf = ({ key }: OffloadFlow) =>
    key.from === INDICES[from] &&
    key.protocol === (packet.protocol === 'tcp' ? 6 : 17) &&
    key.sourcePort === packet.sourcePort &&
    key.destinationPort === packet.destinationPort &&
    Buffer.compare(key.source, packet.source) === 0 &&
    Buffer.compare(key.destination, packet.destination) === 0
  const flow = [...rig.tier.flows.values()].find(isOf)
  if (flow === undefined) return false
  const wanted = { ...packet, ...flow.translated, hops: 63 }
  const out = rig.send(from, packet)!
  assert.equal(INDICES[Number(out.by.at(-1))], flow.out)
  assert.deepEqual(out.frame, translatedFrame(wanted, flow.sourceMac, flow.destinationMac))
  return flow.translated !== undefined
}
