import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openPromoter } from '../src/control/router/promoter.js'
import { XDP } from '../src/ebpf/index.js'
import type { NatRule } from '../src/flow/index.js'
import { closeNetlink, findLink, openRoute, parseAddress, testRun, withNamespace } from '../src/kernel/index.js'
import { type LoadedProgram, loadProgram } from '../src/loader/index.js'
import { PORTS } from '../src/offload/formats.js'
import { frontProgram } from '../src/offload/front-program.js'
import { openDriverFlows } from '../src/offload/index.js'
import { allowTarget } from '../src/offload/targets.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, type RoutedNetwork } from './support/routed-network.js'
import { type TranslatedPacket, translatedFrame } from './support/translated-packet.js'
import {
  ADDRESSES,
  address,
  FAMILIES,
  HOST_MACS,
  INSIDE,
  MACS,
  OUTSIDE,
  openTranslator,
  prefix,
} from './support/translator.js'

const CAPACITY = 256
const CONVERSATIONS = 60
const ROUNDS = 24
const LOOK_MS = 200
const [SYN, SYN_ACK, ACK] = [2, 0x12, 0x10]

const RULES: readonly NatRule[] = [
  ...FAMILIES.map((family): NatRule => {
    const to = { ...prefix(ADDRESSES[family].own, family === 4 ? 32 : 128), protocol: 17, port: 80 }
    return { kind: 'destination', to, address: address(family, 'client', 9), port: 8080 }
  }),
  { kind: 'source', from: prefix('10.0.0.0', 27), outPort: OUTSIDE, to: parseAddress(ADDRESSES[4].pool) },
  { kind: 'source', from: prefix('fd00::', 123), outPort: OUTSIDE, to: parseAddress(ADDRESSES[6].pool) },
]

describe('what the engine decides of flows, the driver does', { skip: skipUnless('root', 'ip') }, () => {
  let network: RoutedNetwork
  let indices: readonly number[] = []
  const programs: LoadedProgram[] = []

  before(() => {
    network = createRoutedNetwork()
    const route = openRoute(network.router)
    indices = ['left', 'right'].map((name) => findLink(route, name).index)
    closeNetlink(route)
    withNamespace(network.router, () => {
      for (const [place, index] of indices.entries())
        programs.push(loadProgram(frontProgram({ index, mac: MACS[place]! }, place, CAPACITY), programs[0]?.maps))
      for (const index of indices) allowTarget(programs[0]!.maps.get(PORTS)!, index)
    })
  })

  after(() => {
    for (const program of programs.toReversed()) program.close()
    network.close()
  })

  test('byte for byte, translated or not, by both families', (context) => {
    const random = seededRandom(context, 'offload-engine')
    let clock = 0
    const translator = openTranslator(RULES, () => clock)
    const { space, tables, flows } = translator
    const flowsAt = space.reserve({ name: 'test flows', kind: 'state', bytes: 64 }).offset
    space.words[flowsAt / 4] = flows.address
    const tier = openDriverFlows(programs[0]!.maps)
    const generation = () => tables.generation()
    const promoter = openPromoter({ space, flowsAt: [flowsAt], generation, tier, ports: indices })
    const frameOf = (from: number, packet: TranslatedPacket) => translatedFrame(packet, HOST_MACS[from]!, MACS[from]!)
    const send = (from: number, packet: TranslatedPacket) => translator.pass(from, frameOf(from, packet))!.frame
    const conversations = Array.from({ length: CONVERSATIONS }, (_, number) => converse(random, number, send))

    const output = new Uint8Array(4096)
    const forwarded = { 4: 0, 6: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      for (const { family, from, packets } of conversations)
        for (const [at, packet] of packets.entries()) {
          const [side, varied] = [at === 0 ? from : 1 - from, vary(random, packet)]
          const data = frameOf(side, varied)
          const { retval, outputBytes } = withNamespace(network.router, () =>
            testRun({ fd: programs[side]!.fd, data, output }),
          )
          const wanted = send(side, varied)
          if (retval !== XDP.redirect) continue
          assert.deepEqual(Buffer.from(output.subarray(0, outputBytes)), Buffer.from(wanted))
          if (Buffer.compare(wanted.subarray(26), data.subarray(26)) !== 0) forwarded[family]++
        }
      clock += LOOK_MS
      flows.tick()
      promoter.look(clock)
    }
    for (const family of FAMILIES) assert(forwarded[family] > CONVERSATIONS, JSON.stringify(forwarded))
    promoter.close()
    translator.close()
  })
})

type Send = (from: number, packet: TranslatedPacket) => Uint8Array

/** A flow that is under way, and a packet of each of its directions as it is sent. */
function converse(random: Random, number: number, send: Send) {
  const family = random.pick(FAMILIES)
  const from = random.below(3) === 0 ? OUTSIDE : INSIDE
  const isTcp = from === INSIDE && random.below(2) === 0
  const own = { source: address(family, 'client', 1 + number), destination: address(family, 'server', 1) }
  const published = { source: own.destination, destination: parseAddress(ADDRESSES[family].own) }
  const packet: TranslatedPacket = {
    ...(from === INSIDE ? own : published),
    ...{ protocol: isTcp ? 'tcp' : 'udp', sourcePort: 5000 + number, destinationPort: from === INSIDE ? 53 : 80 },
    ...{ payload: new Uint8Array(0), isReply: false },
  }
  const answer = answerTo(send(from, isTcp ? { ...packet, flags: SYN, sequence: 1 } : packet), packet)
  if (isTcp) send(1 - from, { ...answer, flags: SYN_ACK, sequence: 1, acknowledged: 2 })
  const packets = [packet, answer].map((each) =>
    isTcp ? { ...each, flags: ACK, sequence: 2, acknowledged: 2 } : each,
  ) as [TranslatedPacket, TranslatedPacket]
  return { family, from, packets }
}

/** What the receiver of a frame, who is not told of translations, answers. */
function answerTo(frame: Uint8Array, packet: TranslatedPacket): TranslatedPacket {
  const [at, bytes] = packet.source.length === 4 ? [26, 4] : [22, 16]
  const ports = new DataView(frame.buffer, frame.byteOffset + at + 2 * bytes)
  return {
    ...packet,
    source: frame.slice(at + bytes, at + 2 * bytes),
    destination: frame.slice(at, at + bytes),
    sourcePort: ports.getUint16(2),
    destinationPort: ports.getUint16(0),
  }
}

/** Of TCP the payload stays empty, so that it keeps within its windows as it is sent again. */
function vary(random: Random, packet: TranslatedPacket): TranslatedPacket {
  if (packet.protocol === 'tcp') return { ...packet, hops: 2 + random.below(254) }
  const payload = Uint8Array.from({ length: random.below(80) }, () => random.below(256))
  const isUnsummed = packet.source.length === 4 && random.below(4) === 0
  return { ...packet, payload, hops: 2 + random.below(254), isUnsummed }
}
