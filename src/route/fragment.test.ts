import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { flowFrame, headersOf, pseudoHeaderSum } from '../../test/support/flow-packet.js'
import { type Note, noted } from '../../test/support/noted-stage.js'
import { fragmentsOf } from '../../test/support/plain-fragments.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { assertLikeTwin, collect, once } from '../../test/support/stage-suite.js'
import type { StageTwin } from '../../test/support/stage-twins.js'
import { draw, receive, startEngine } from '../engine/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_FLAGS,
  FLAG_CHECKSUM_MISSING,
  FLAG_UDP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_SHIFT,
} from '../memory/index.js'
import { foldChecksum, UDP, write16 } from '../wire/index.js'
import { fragment, NOTE_FRAGMENT, NOTE_TOO_BIG, openRoutes, type Routes } from './index.js'

const SIZES = { rootBits: 16, nodes: 4, routes: 4 } as const
const MAC = Uint8Array.of(2, 0, 0, 0, 9, 1)
const MTUS = [68, 69, 75, 76, 100, 300, 576, 1280] as const

/** Next hops with these MTUs, from number 1 on, then one where nothing is sent. */
function build({ space, code }: EngineBench): Routes {
  const tables = openRoutes(space, code, 'test', { v4: SIZES, v6: SIZES, ports: 1 })
  tables.setPort(0, { mac: MAC, mtu: 9000 })
  for (const mtu of MTUS) tables.addNextHop({ kind: 'forward', port: 0, mac: MAC, mtu })
  tables.addNextHop({ kind: 'blackhole' })
  return tables
}

function noteOf(packet: Uint8Array): Note {
  const number = packet.reduce((mixed, byte) => (Math.imul(mixed, 31) + byte) >>> 0, 7)
  const reason = number % 8 === 0 ? NOTE_TOO_BIG : NOTE_FRAGMENT
  return { reason, port: 0, hop: 1 + ((number >>> 8) % (MTUS.length + 1)) }
}

const twin: StageTwin = (packets) => {
  const toCut = packets.filter((packet) => noteOf(packet).reason === NOTE_FRAGMENT)
  const cut = toCut.map((packet) => fragmentsOf(packet, MTUS[noteOf(packet).hop - 1] ?? Number.POSITIVE_INFINITY))
  return {
    outputs: [packets.filter((packet) => !toCut.includes(packet)), cut.flatMap((fragments) => fragments ?? [])],
    drops: { malformed: cut.filter((fragments) => fragments === null).length },
  }
}

/** Loose source route (copied), record route (not), security (copied), router alert (copied), and nonsense. */
const OPTIONS = [
  [131, 7, 4, 192, 0, 2, 9],
  [7, 7, 4, 0, 0, 0, 0],
  [130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [148, 4, 0, 0],
  [1],
  [0],
  [200, 0],
  [77, 60],
]

function randomOptions(random: Random): number[] {
  const options: number[] = []
  for (let count = random.below(6); count > 0; count--) options.push(...random.pick(OPTIONS))
  while (options.length % 4 !== 0) options.push(random.pick([0, 1]))
  return options.length > 40 ? [] : options
}

function randomToCut(random: Random): Uint8Array {
  const packet = flowFrame({
    family: random.below(20) === 0 ? 6 : 4,
    protocol: random.pick(['tcp', 'udp']),
    payload: new Uint8Array(random.pick([0, 1, 24, 40, 41, 47, 48, 49, 100, 555, 1400])).map(() => random.below(256)),
    hops: random.pick([2, 64]),
    identification: random.below(65_536),
    fragment: random.pick([0, 0, 0, 0x2000, 0x2004, 0x0107, 0x3fff, 0x1fb0, 0x8000]),
    ipOptions: random.below(3) === 0 ? randomOptions(random) : [],
    trailer: random.pick([0, 0, 6]),
  })
  if (random.below(24) === 0) write16(packet, 16, random.below(packet.length + 30))
  if (random.below(24) === 0) packet[14] = random.below(256)
  if (random.below(24) === 0) return randomPacket(random).bytes
  return random.below(24) === 0 ? packet.slice(0, random.below(packet.length)) : packet
}

test('fragment cuts as RFC 791 says, in order, however many there are of a bundle', (context) => {
  const random = seededRandom(context, 'route/fragment')
  for (let turn = 0; turn < 6; turn++) {
    assertLikeTwin(random, (bench) => ({ stage: noted(fragment('fragment', build(bench)), noteOf), twin }), randomToCut)
  }
})

/** What the stage makes of one packet, noted to be cut for that hop, with those flags of its descriptor. */
function cutOne(bench: EngineBench, packet: Uint8Array, hop: number, flags = 0) {
  const sent = bench.bundle('sent')
  const fragments: Uint8Array[] = []
  const stage = noted(fragment('fragment', build(bench)), () => ({ reason: NOTE_FRAGMENT, port: 0, hop }))
  const graph = draw(
    [receive(once(bench, sent)), stage, collect(bench, 'others', [])],
    ['fragment.fragments', collect(bench, 'to fragments', fragments)],
  )
  const engine = startEngine(bench.space, bench.code, bench.worker, graph)
  bench.fill(sent, [packet], 65_536)
  bench.space.words[(sent + BUNDLE_DESCRIPTORS + DESCRIPTOR_FLAGS) / 4] = flags
  engine.round()
  const { drops } = engine.statistics().find(({ name }) => name === 'fragment')!
  engine.close()
  return { fragments, drops }
}

/** The hop of MTU 576. */
const HOP_576 = 7

test('a checksum that was left to who sends is filled in before', () => {
  const packet = flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(1200).fill(7), fragment: 0 })
  const whole = packet.slice()
  const { network, transport } = headersOf(packet)
  write16(packet, transport + UDP.checksum, ~foldChecksum(pseudoHeaderSum(packet, network, false, 1208)) & 0xffff)
  const flags = FLAG_UDP | FLAG_CHECKSUM_MISSING | (transport << FLAGS_TRANSPORT_SHIFT)
  const bench = openBench({ 2048: 512, 65536: 4 })
  const { fragments } = cutOne(bench, packet, HOP_576, flags)
  assert.deepEqual(fragments, fragmentsOf(whole, 576))
  assert.equal(bench.inUse(), 0)
})

test('what was merged is not cut', () => {
  const packet = flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(1200), fragment: 0 })
  const flags = FLAG_UDP | (34 << FLAGS_TRANSPORT_SHIFT) | (600 << FLAGS_SEGMENT_SHIFT)
  const bench = openBench({ 2048: 512, 65536: 4 })
  assert.deepEqual(cutOne(bench, packet, HOP_576, flags).drops, { 'no frame': 0, malformed: 0, merged: 1 })
  assert.equal(bench.inUse(), 0)
})

test('the longest packet there is, into the shortest fragments there are: more than a bundle has room for', (context) => {
  const random = seededRandom(context, 'route/fragment')
  const payload = new Uint8Array(65_535 - 28).map(() => random.below(256))
  const packet = flowFrame({ family: 4, protocol: 'udp', payload, fragment: 0 })
  const bench = openBench({ 2048: 512, 65536: 4 })
  const { fragments } = cutOne(bench, packet, 1)
  assert.equal(fragments.length, 1365)
  assert.deepEqual(fragments, fragmentsOf(packet, 68))
  assert.equal(bench.inUse(), 0)
})

test('where frames run out the rest of the packet is dropped, and its own frame comes back', () => {
  const bench = openBench({ 2048: 256, 65536: 4 })
  const held = bench.bundle('held')
  bench.fill(held, new Array(254).fill(new Uint8Array(60)))
  const packet = flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(3000), fragment: 0 })
  const { fragments, drops } = cutOne(bench, packet, HOP_576)
  assert.equal(fragments.length, 2)
  assert.equal(drops['no frame'], 1)
  bench.empty(held)
  assert.equal(bench.inUse(), 0)
})
