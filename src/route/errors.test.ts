import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { eventually } from '../../test/support/eventually.js'
import { flowFrame } from '../../test/support/flow-packet.js'
import { type Note, noted } from '../../test/support/noted-stage.js'
import { type ErrorSource, errorAbout } from '../../test/support/plain-errors.js'
import type { PlainRouter } from '../../test/support/plain-forward.js'
import { PlainRoutes } from '../../test/support/plain-routes.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { assertLikeTwin, collect, once } from '../../test/support/stage-suite.js'
import type { StageTwin } from '../../test/support/stage-twins.js'
import { draw, receive, startEngine } from '../engine/index.js'
import { addWords, foldChecksum, write16 } from '../wire/index.js'
import {
  type ErrorsOptions,
  errors,
  type NextHop,
  NOTE_FRAGMENT,
  NOTE_NO_NEIGHBOUR,
  NOTE_NO_ROUTE,
  NOTE_PROHIBITED,
  NOTE_TIME_EXCEEDED,
  NOTE_TOO_BIG,
  NOTE_UNREACHABLE,
  openRoutes,
  type Port,
  type Routes,
} from './index.js'

const SEED = 0x51ce_0001
const SIZES = { rootBits: 16, nodes: 400, routes: 64 } as const
const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 9, last)
const v6 = (last: number, first = 0x20) => Uint8Array.of(first, first === 0x20 ? 1 : 0x80, ...new Uint8Array(13), last)

/** The second has two addresses; the third none of IPv4, and of IPv6 none that means something elsewhere. */
const PORTS: readonly Port[] = [
  { mac: mac(0xa0), mtu: 1500, v4: [Uint8Array.of(192, 0, 2, 1)], v6: [v6(1)] },
  {
    mac: mac(0xa1),
    mtu: 1400,
    v4: [Uint8Array.of(198, 51, 100, 1), Uint8Array.of(198, 51, 100, 2)],
    v6: [v6(2), v6(3)],
  },
  { mac: mac(0xa2), mtu: 9000, v6: [v6(4, 0xfe)] },
]
const HOPS: readonly NextHop[] = [
  { kind: 'forward', port: 0, mac: mac(1) },
  { kind: 'forward', port: 1, mac: mac(2), source: 1 },
  { kind: 'forward', port: 2, mac: mac(3), mtu: 300 },
  { kind: 'local' },
  { kind: 'blackhole' },
  { kind: 'unresolved', port: 1, mtu: 1300 },
  { kind: 'group', members: [{ hop: 1 }, { hop: 2, weight: 3 }] },
]
const UNLIMITED: ErrorsOptions = {
  perTarget: 'off',
  rates: { 'time exceeded': 'off', unreachable: 'off', 'too big': 'off' },
}

function build(bench: EngineBench, ports = PORTS): { tables: Routes; router: PlainRouter } {
  const tables = openRoutes(bench.space, bench.code, 'test', { v4: SIZES, v6: SIZES, ports: 3, seed: SEED })
  ports.forEach((port, number) => {
    tables.setPort(number, port)
  })
  const hops = new Map(HOPS.map((hop) => [tables.addNextHop(hop), hop]))
  const router = { ports, inPort: 0, hops, v4: new PlainRoutes(), v6: new PlainRoutes(), seed: SEED }
  // By the bits of the first byte that differ each way is taken often.
  for (let slice = 0; slice < 16; slice++) {
    const hop = 1 + (slice % (HOPS.length + 1))
    if (hop > HOPS.length) continue
    const address = Uint8Array.of(slice << 4, 0, 0, 0)
    assert.equal(tables.insert({ address, length: 4 }, hop), null)
    router.v4.insert([(slice << 28) >>> 0], 4, hop)
    assert.equal(
      tables.insert({ address: Uint8Array.of(0x20, 1, slice, ...new Uint8Array(13)), length: 24 }, hop),
      null,
    )
    router.v6.insert([0x20010000 + (slice << 8), 0, 0, 0], 24, hop)
  }
  return { tables, router }
}

/** The same for the same packet: a few of its bytes choose. */
function noteOf(packet: Uint8Array): Note {
  const number = packet.reduce((mixed, byte) => (Math.imul(mixed, 31) + byte) >>> 0, 7)
  return { reason: number % 10, port: (number >>> 8) % 4, hop: (number >>> 12) % (HOPS.length + 1) }
}

/** Whatever has been said of any packet. */
const said = new Set<string>()

function errorsTwin(router: PlainRouter, source: ErrorSource, drops: readonly string[]): StageTwin {
  return (packets) => {
    const all = packets.map((packet) => errorAbout(router, source, packet, noteOf(packet)))
    for (const each of all) said.add(typeof each === 'string' ? each : `${each[12] === 8 ? each[34] : each[54]}`)
    return {
      outputs: [all.filter((each) => typeof each !== 'string')],
      drops: Object.fromEntries(drops.map((reason) => [reason, all.filter((each) => each === `(${reason})`).length])),
    }
  }
}

/** The identification is chance; that the header's checksum is right is seen before it is taken away. */
function settled(packet: Uint8Array): Uint8Array {
  if (packet[12] !== 8) return packet
  assert.equal(foldChecksum(addWords(0, packet, 14, 34)), 0)
  write16(packet, 18, 0)
  write16(packet, 24, 0)
  write16(packet, 24, foldChecksum(addWords(0, packet, 14, 34)))
  return packet
}

const LENGTHS = [0, 1, 7, 8, 60, 300, 519, 520, 521, 1183, 1184, 1185, 1400] as const

function randomIpv4(random: Random): Uint8Array {
  const packet = flowFrame({
    family: 4,
    protocol: random.pick(['tcp', 'udp']),
    payload: new Uint8Array(random.pick(LENGTHS)).map(() => random.below(256)),
    hops: random.pick([1, 64]),
    service: random.below(256),
    fragment: random.pick([0, 0x4000, 0x4000, 0x2000, 0x00b9]),
    ipOptions: random.below(6) === 0 ? new Array(4 * (1 + random.below(10))).fill(1) : [],
    trailer: random.pick([0, 0, 6]),
  })
  packet[26] = random.below(256)
  packet.set([random.below(256), random.below(256)], 30)
  if (random.below(4) === 0) packet.set([1], 23)
  if (random.below(4) === 0) packet[14 + (packet[14]! & 15) * 4] = random.below(24)
  return damaged(random, packet)
}

function randomIpv6(random: Random): Uint8Array {
  const header = random.pick([0, 43, 44, 51, 60, 58])
  const next = random.pick([58, 58, 44, 60, 17])
  const extension = [next, random.below(2), random.pick([0, 0, 1]), random.below(8), 0, 0, 0, 0]
  const packet = flowFrame({
    family: 6,
    protocol: random.pick(['tcp', 'udp']),
    payload: Uint8Array.of(...extension, ...extension, ...new Uint8Array(random.pick(LENGTHS))).map(
      (byte, at) => byte || (at > 8 ? random.below(256) : 0),
    ),
    hops: random.pick([1, 64]),
    service: random.below(256),
    label: random.below(1 << 20),
    trailer: random.pick([0, 0, 6]),
  })
  packet.set([random.pick([0x20, 0x20, 0x20, 0, 0xfe, 0xff]), random.pick([0, 1, 0x80]), random.below(256)], 22)
  if (random.below(12) === 0) packet.fill(0, 22, 37)
  if (random.below(24) === 0) packet.fill(255, 32, 34)
  packet[38] = random.pick([0x20, 0x20, 0x20, 0xff])
  if (random.below(2) === 0) {
    packet[20] = header
    packet.copyWithin(54, 62, 78)
    if (header === 58) packet[54] = random.pick([1, 127, 128, 129, 137, 255])
  }
  return damaged(random, packet)
}

function damaged(random: Random, packet: Uint8Array): Uint8Array {
  if (random.below(16) === 0) packet[0]! |= 1
  if (random.below(24) === 0) write16(packet, random.pick([16, 18]), random.below(packet.length + 30))
  if (random.below(24) === 0) return randomPacket(random).bytes
  return random.below(24) === 0 ? packet.slice(0, random.below(packet.length)) : packet
}

describe('errors says what a plain router says', () => {
  for (const source of ['outgoing', 'incoming'] as const) {
    for (const [family, packetOf] of [
      ['IPv4', randomIpv4],
      ['IPv6', randomIpv6],
    ] as const) {
      test(`of ${family}, from the ${source} port`, (context) => {
        const random = seededRandom(context, 'route/errors')
        for (let turn = 0; turn < 4; turn++) {
          // Nobody has an address at all.
          const ports = turn === 3 ? PORTS.map(({ mac, mtu }) => ({ mac, mtu })) : PORTS
          assertLikeTwin(
            random,
            (bench) => {
              const { tables, router } = build(bench, ports)
              const stage = noted(errors('errors', tables, { source, ...UNLIMITED }), noteOf)
              return { stage, twin: errorsTwin(router, source, stage.drops) }
            },
            packetOf,
            settled,
          )
        }
      })
    }
  }
})

test('all of it has been said', () => {
  const faults = ['about an error', 'later fragment', 'to many', 'from no host', 'from a link-local address']
  const others = ['no address', 'no note', 'malformed'].map((fault) => `(${fault})`)
  assert.deepEqual([...said].sort(), [...faults.map((fault) => `(${fault})`), ...others, '1', '11', '2', '3'].sort())
})

/** A graph of nothing but the stage, whose packets are all noted alike. */
function openErrors(bench: EngineBench, options: ErrorsOptions) {
  const { tables } = build(bench)
  const sent = bench.bundle('sent')
  const answers: Uint8Array[] = []
  let reason = NOTE_NO_ROUTE
  const stage = noted(errors('errors', tables, options), () => ({ reason, port: 0, hop: 1 }))
  const graph = draw([receive(once(bench, sent)), stage, collect(bench, 'answers', answers)])
  const engine = startEngine(bench.space, bench.code, bench.worker, graph, { bundle: 256 })
  return {
    /** How many of them are answered. */
    pass(packets: readonly Uint8Array[], note: number): number {
      reason = note
      answers.length = 0
      bench.fill(sent, packets)
      engine.round()
      return answers.length
    },
    answers,
    drops: () => engine.statistics().find(({ name }) => name === 'errors')!.drops,
    close() {
      engine.close()
      assert.equal(bench.inUse(), 0)
    },
  }
}

/** From a source of its own each, for each `flow`. */
const from = (flow: number) => flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(8), flow })
const from6 = (flow: number) => flowFrame({ family: 6, protocol: 'udp', payload: new Uint8Array(8), flow })
/** Less than one token in the time of a test. */
const NEVER = 1e-6

test('a target hears so much at once, the others theirs; packet too big has no such limit', () => {
  const stage = openErrors(openBench(), {
    rates: { 'too big': 'off' },
    perTarget: { perSecond: NEVER, burst: 6 },
  })
  assert.equal(stage.pass(new Array(20).fill(from(9)), NOTE_NO_ROUTE), 6)
  assert.equal(stage.pass([from(9), from(10), from(10), from6(9)], NOTE_TIME_EXCEEDED), 3)
  assert.equal(stage.pass(new Array(20).fill(from(9)), NOTE_TOO_BIG), 20)
  assert.equal(stage.drops()['limit of its target'], 15)
  stage.close()
})

test('each kind has its limit for all targets, and what a target was refused is not counted to it', () => {
  const rate = (burst: number) => ({ perSecond: NEVER, burst })
  const stage = openErrors(openBench(), {
    rates: { 'time exceeded': rate(10), unreachable: rate(20), 'too big': rate(30) },
    perTarget: rate(1),
  })
  assert.equal(stage.pass(new Array(15).fill(from(200)), NOTE_TIME_EXCEEDED), 1)
  const others = Array.from({ length: 50 }, (_, flow) => from(flow))
  assert.equal(stage.pass(others, NOTE_TIME_EXCEEDED), 9)
  assert.deepEqual([stage.drops()['limit of its target'], stage.drops()['limit of its kind']], [14, 41])
  // All unreachable things are one kind, and nine of these targets have had theirs.
  const unreachable = [NOTE_NO_ROUTE, NOTE_UNREACHABLE, NOTE_NO_NEIGHBOUR, NOTE_PROHIBITED]
  const answered = unreachable.map((note, order) => stage.pass(others.slice(order * 10, order * 10 + 10), note))
  assert.deepEqual(answered, [1, 10, 9, 0])
  assert.equal(stage.pass(others, NOTE_TOO_BIG), 30)
  assert.equal(stage.pass(others, NOTE_FRAGMENT), 0)
  assert.equal(stage.drops()['no note'], 50)
  stage.close()
})

test('tokens come back with time', async () => {
  const stage = openErrors(openBench(), { perTarget: { perSecond: 50, burst: 1 } })
  assert.equal(stage.pass([from(9)], NOTE_NO_ROUTE), 1)
  await eventually('another answer', () => stage.pass([from(9)], NOTE_NO_ROUTE) === 1)
  stage.close()
})

test('the target that has rested longest makes room where there are more than are remembered', () => {
  const stage = openErrors(openBench(), {
    targets: 4,
    perTarget: { perSecond: NEVER, burst: 1 },
    rates: { unreachable: 'off' },
  })
  assert.equal(stage.pass([1, 2, 3, 4, 1, 2, 3, 4].map(from), NOTE_NO_ROUTE), 4)
  const drops = stage.drops()['limit of its target']
  assert.equal(drops, 4)
  // Each new one forgets another; whoever was forgotten hears again.
  assert.equal(stage.pass([5, 6, 7, 8].map(from), NOTE_NO_ROUTE), 4)
  assert.equal(stage.pass([1].map(from), NOTE_NO_ROUTE), 1)
  stage.close()
})

test('without a frame there is no answer, and the packet’s own comes back', () => {
  const bench = openBench({ 2048: 256, 4096: 256 })
  const held = bench.bundle('held')
  bench.fill(held, new Array(256).fill(from(1)))
  const { tables } = build(bench)
  const sent = bench.bundle('sent')
  const stage = noted(errors('errors', tables, UNLIMITED), () => ({ reason: NOTE_NO_ROUTE, port: 0, hop: 0 }))
  const graph = draw([receive(once(bench, sent)), stage, collect(bench, 'answers', [])])
  const engine = startEngine(bench.space, bench.code, bench.worker, graph)
  bench.fill(sent, [from(1), from(2)], 4096)
  engine.round()
  assert.equal(engine.statistics().find(({ name }) => name === 'errors')!.drops['no frame'], 2)
  bench.empty(held)
  engine.close()
  assert.equal(bench.inUse(), 0)
})

test('settings that cannot be are refused', () => {
  const { tables } = build(openBench())
  assert.throws(() => errors('errors', tables, { hops: 255 }), /1 to 254 hops, not 255/)
  assert.throws(() => errors('errors', tables, { targets: 100 }), /power of two from 4 on, not 100/)
})
