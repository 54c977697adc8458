import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { flowFrame } from '../../test/support/flow-packet.js'
import { forwardTwin, type PlainRouter } from '../../test/support/plain-forward.js'
import { PlainRoutes } from '../../test/support/plain-routes.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { assertLikeTwin, collect, once } from '../../test/support/stage-suite.js'
import { draw, receive, startEngine } from '../engine/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_FLAGS,
  FLAG_TCP,
  FLAG_UDP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_SHIFT,
} from '../memory/index.js'
import { addWords, foldChecksum, write16 } from '../wire/index.js'
import {
  type ForwardOptions,
  forward,
  type NextHop,
  NOTE_BEYOND_SCOPE,
  NOTE_FRAGMENT,
  NOTE_HOP_BEFORE,
  NOTE_NO_ROUTE,
  NOTE_PORT_BEFORE,
  NOTE_PROHIBITED,
  NOTE_REASON_BEFORE,
  NOTE_TIME_EXCEEDED,
  NOTE_TOO_BIG,
  NOTE_UNREACHABLE,
  NOTE_UNRESOLVED,
  openRoutes,
  type Port,
  type Routes,
} from './index.js'

const OWN = Uint8Array.of(2, 0, 0, 0, 0, 0x0b)
const SEED = 0x51ce_0001
const SIZES = { rootBits: 16, nodes: 400, routes: 256 } as const

const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 9, last)

/** Three ports, a next hop of each kind and a group; the second port takes short packets only. */
const PORTS: readonly Port[] = [
  { mac: OWN, mtu: 1500 },
  { mac: mac(0xa1), mtu: 80 },
  { mac: mac(0xa2), mtu: 9000 },
]
const HOPS: readonly NextHop[] = [
  { kind: 'forward', port: 0, mac: mac(1) },
  { kind: 'forward', port: 1, mac: mac(2) },
  { kind: 'forward', port: 2, mac: mac(3), mtu: 120 },
  { kind: 'local' },
  { kind: 'blackhole' },
  { kind: 'unreachable' },
  { kind: 'prohibit' },
  { kind: 'unresolved', port: 2 },
  { kind: 'group', members: [{ hop: 1 }, { hop: 3, weight: 3 }] },
]

/** The tables of a bench, and the same for the plain router. */
function build(bench: EngineBench, port: Partial<Port> = {}): { tables: Routes; router: PlainRouter } {
  const tables = openRoutes(bench.space, bench.code, 'test', { v4: SIZES, v6: SIZES, ports: 3, seed: SEED })
  const ports = PORTS.map((each, number) => (number === 0 ? { ...each, ...port } : each))
  ports.forEach((each, number) => {
    tables.setPort(number, each)
  })
  const hops = new Map(HOPS.map((hop) => [tables.addNextHop(hop), hop]))
  return { tables, router: { ports, inPort: 0, hops, v4: new PlainRoutes(), v6: new PlainRoutes(), seed: SEED } }
}

const BASES = [
  [10, 1, 2, 3],
  [192, 0, 2, 1],
  [203, 0, 113, 77],
]
/** Those that are for no route. */
const ODD = [
  [0, 0, 0, 0],
  [0, 1, 2, 3],
  [127, 0, 0, 1],
  [224, 0, 0, 5],
  [239, 255, 255, 250],
  [240, 0, 0, 1],
  [255, 255, 255, 255],
  [255, 255, 255, 254],
  [223, 255, 255, 255],
  [128, 0, 0, 1],
]

function randomAddress(random: Random): number[] {
  if (random.below(12) === 0) return random.pick(ODD)
  const address = [...random.pick(BASES)]
  if (random.below(2) === 0) address[random.below(4)] = random.below(256)
  return address
}

function addRandomRoutes(random: Random, { tables, router }: ReturnType<typeof build>): void {
  for (let route = 0; route < 40; route++) {
    const address = Uint8Array.from(randomAddress(random))
    const [length, hop] = [random.below(33), 1 + random.below(HOPS.length)]
    assert.equal(tables.insert({ address, length }, hop), null)
    router.v4.insert([new DataView(address.buffer).getUint32(0)], length, hop)
  }
}

const BASES_V6 = [
  [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  [0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0, 0, 0, 2],
  [0x2a, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7],
]
const zeros = (count: number) => new Array<number>(count).fill(0)
const ODD_V6 = [
  zeros(16),
  [...zeros(15), 1],
  [...zeros(15), 2],
  [...zeros(10), 0xff, 0xff, 192, 0, 2, 1],
  [0xff, 2, ...zeros(13), 1],
  [0xfe, 0x80, ...zeros(13), 9],
  [0xfe, 0xbf, ...zeros(13), 9],
  [0xfe, 0xc0, ...zeros(13), 9],
  [0xfd, ...zeros(15)],
]

function randomAddress6(random: Random): number[] {
  if (random.below(12) === 0) return random.pick(ODD_V6)
  const address = [...random.pick(BASES_V6)]
  if (random.below(2) === 0) address[random.below(16)] = random.below(256)
  return address
}

function addRandomRoutes6(random: Random, { tables, router }: ReturnType<typeof build>): void {
  for (let route = 0; route < 40; route++) {
    const address = Uint8Array.from(randomAddress6(random))
    const [length, hop] = [
      random.pick([0, 8, 16, 17, 24, 32, 40, 48, 63, 64, 96, 127, 128]),
      1 + random.below(HOPS.length),
    ]
    if (tables.insert({ address, length }, hop) !== null) continue
    const view = new DataView(address.buffer)
    router.v6.insert(
      [0, 4, 8, 12].map((at) => view.getUint32(at)),
      length,
      hop,
    )
  }
}

function randomIpv6(random: Random): Uint8Array {
  if (random.below(12) === 0) return randomPacket(random).bytes
  const packet = flowFrame({
    family: 6,
    protocol: random.pick(['tcp', 'udp']),
    payload: new Uint8Array(random.pick([0, 1, 19, 20, 31, 32, 60, 72, 73, 100])),
    hops: random.pick([0, 1, 2, 3, 64, 255]),
    service: random.below(256),
    label: random.below(1 << 20),
    trailer: random.pick([0, 0, 6]),
  })
  if (random.below(8) === 0) packet.set([random.pick([1, 2, 0xff, 0x33]), 0, random.below(256)], 0)
  packet.set(randomAddress6(random), 22)
  packet.set(randomAddress6(random), 38)
  if (random.below(12) === 0) write16(packet, 18, random.below(packet.length + 30))
  if (random.below(16) === 0) packet[14] = random.below(256)
  return random.below(16) === 0 ? packet.slice(0, random.below(packet.length)) : packet
}

/** A packet for the router most of the time, and damaged now and then. */
function randomIpv4(random: Random): Uint8Array {
  if (random.below(12) === 0) return randomPacket(random).bytes
  const packet = flowFrame({
    family: 4,
    protocol: random.pick(['tcp', 'udp']),
    payload: new Uint8Array(random.pick([0, 1, 20, 26, 53, 60, 66, 100])),
    flow: random.below(200),
    hops: random.pick([0, 1, 2, 3, 64, 255]),
    service: random.below(256),
    identification: random.below(65_536),
    fragment: random.pick([0, 0x4000, 0x2000, 0x00b9]),
    ipOptions: random.below(6) === 0 ? new Array(4 * (1 + random.below(10))).fill(1) : [],
    trailer: random.pick([0, 0, 6]),
  })
  if (random.below(8) === 0) packet.set([random.pick([1, 2, 0xff, 0x33]), 0, random.below(256)], 0)
  packet.set(randomAddress(random), 26)
  packet.set(randomAddress(random), 30)
  const header = (packet[14]! & 15) * 4
  if (random.below(12) === 0) write16(packet, 16, random.below(packet.length + 30))
  if (random.below(16) === 0) packet[14] = random.below(256)
  write16(packet, 24, 0)
  write16(packet, 24, foldChecksum(addWords(0, packet, 14, 14 + header)))
  if (random.below(16) === 0) packet[14 + random.below(20)]! ^= 1 << random.below(8)
  return random.below(16) === 0 ? packet.slice(0, random.below(packet.length)) : packet
}

const VARIANTS: readonly [string, Partial<Port>, Omit<ForwardOptions, 'inPort'>][] = [
  ['as it is', {}, {}],
  ['without a look at checksums', {}, { checksum: false }],
  ['with martians', {}, { martians: 'route' }],
  ['with a loose check of the reverse path', { reversePath: 'loose' }, {}],
  ['with a strict one', { reversePath: 'strict' }, {}],
  ['where nothing is forwarded', { forwarding: false }, {}],
]

const FAMILIES = [
  ['IPv4', addRandomRoutes, randomIpv4],
  ['IPv6', addRandomRoutes6, randomIpv6],
] as const

describe('forward does what a plain router does', () => {
  for (const [title, port, options] of VARIANTS) {
    for (const [family, addRoutes, packetOf] of FAMILIES) {
      test(`with ${family}, ${title}`, (context) => {
        const random = seededRandom(context, 'route/forward')
        for (let turn = 0; turn < 4; turn++) {
          assertLikeTwin(
            random,
            (bench) => {
              const built = build(bench, port)
              addRoutes(random, built)
              const stage = forward('route', built.tables, { inPort: 0, ...options })
              return { stage, twin: forwardTwin({ ...built.router, ...options }, stage.outputs, stage.drops) }
            },
            packetOf,
          )
        }
      })
    }
  }
})

/** A graph of nothing but the stage; `pass` sends packets through, and gives those of each output. */
function openStage(bench: EngineBench, tables: Routes, look: (output: string, bundle: number) => void = () => {}) {
  const sent = bench.bundle('sent')
  const stage = forward('route', tables, { inPort: 0 })
  const collected = new Map(stage.outputs.map((output): [string, Uint8Array[]] => [output, []]))
  const lines = stage.outputs.map((output) => {
    const end = collect(bench, `to ${output}`, collected.get(output)!)
    const start: typeof end.start = (host) => {
      const { run } = end.start(host)
      return {
        run(bundle) {
          look(output, bundle)
          run(bundle)
        },
      }
    }
    return [`route.${output}`, { ...end, start }] as const
  })
  const engine = startEngine(bench.space, bench.code, bench.worker, draw([receive(once(bench, sent)), stage], ...lines))
  return {
    close: engine.close,
    /** `flags` as in the descriptors of all of them. */
    pass(packets: readonly Uint8Array[], flags = 0): Record<string, Uint8Array[]> {
      for (const list of collected.values()) list.length = 0
      bench.fill(sent, packets)
      packets.forEach((_, index) => {
        bench.space.words[(sent + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + DESCRIPTOR_FLAGS) / 4] = flags
      })
      engine.round()
      return Object.fromEntries([...collected].map(([output, list]) => [output, [...list]]))
    },
  }
}

/** To 192.0.2.250 from 192.0.2.9, as `flowFrame` makes them. */
const packetTo = (change: Partial<Parameters<typeof flowFrame>[0]> = {}) =>
  flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(18), flow: 9, ...change })

test('the checksum behind one hop less is right, whatever it was', () => {
  const bench = openBench()
  const { tables } = build(bench)
  tables.insert({ address: Uint8Array.of(192, 0, 2, 0), length: 24 }, 3)
  const stage = openStage(bench, tables)
  for (let identification = 0; identification < 65_536; identification += 64) {
    const packets = Array.from({ length: 64 }, (_, more) => packetTo({ identification: identification + more }))
    const { 'port 2': out } = stage.pass(packets)
    assert.equal(out!.length, 64)
    for (const packet of out!) {
      assert.equal(packet[22], 63)
      const sum = (packet[24]! << 8) | packet[25]!
      packet.set([0, 0], 24)
      assert.equal(sum, foldChecksum(addWords(0, packet, 14, 34)))
    }
  }
  stage.close()
})

test('of all checksums of a header one is right', () => {
  const bench = openBench()
  const { tables } = build(bench)
  tables.insert({ address: Uint8Array.of(192, 0, 2, 0), length: 24 }, 3)
  const stage = openStage(bench, tables)
  const right = packetTo()
  let forwarded = 0
  for (let checksum = 0; checksum < 65_536; checksum += 256) {
    const packets = Array.from({ length: 256 }, (_, more) => {
      const packet = right.slice()
      write16(packet, 24, checksum + more)
      return packet
    })
    forwarded += stage.pass(packets)['port 2']!.length
  }
  assert.equal(forwarded, 1)
  stage.close()
})

test('says of what it cannot forward why, by which port it came and by which hop it was to go', () => {
  const bench = openBench()
  const { tables } = build(bench)
  const { bytes, memory } = bench.space
  const noted: number[][] = []
  const hopAt = (packet: number) => new DataView(memory.buffer).getUint32(packet - NOTE_HOP_BEFORE, true)
  const stage = openStage(bench, tables, (output, bundle) => {
    if (output !== 'errors' && output !== 'unresolved') return
    const packet = bench.packetAt(bundle + 16, 0)
    noted.push([bytes[packet - NOTE_REASON_BEFORE]!, bytes[packet - NOTE_PORT_BEFORE]!, hopAt(packet)])
  })
  const cases = [
    [0, NOTE_NO_ROUTE, {}],
    [6, NOTE_UNREACHABLE, {}],
    [7, NOTE_PROHIBITED, { hops: 1 }],
    [8, NOTE_UNRESOLVED, {}],
    [8, NOTE_TIME_EXCEEDED, { hops: 1 }],
    [2, NOTE_TOO_BIG, { payload: new Uint8Array(100) }],
    [2, NOTE_FRAGMENT, { payload: new Uint8Array(100), fragment: 0 }],
  ] as const
  for (const [hop, , change] of cases) {
    if (hop !== 0) tables.insert({ address: Uint8Array.of(192, 0, 2, 0), length: 24 }, hop)
    const packet = packetTo(change)
    const { errors, unresolved } = stage.pass([packet])
    // As it came: an ICMP error quotes it, and who waits for a neighbour sends it through again.
    assert.deepEqual([...errors!, ...unresolved!], [packet])
  }
  const linkLocal = flowFrame({ family: 6, protocol: 'udp', payload: new Uint8Array(0) })
  linkLocal.set([0xfe, 0x80], 22)
  assert.equal(tables.insert({ address: new Uint8Array(16), length: 0 }, 3), null)
  assert.equal(stage.pass([linkLocal])['errors']!.length, 1)
  assert.deepEqual(noted, [...cases.map(([hop, reason]) => [reason, 0, hop]), [NOTE_BEYOND_SCOPE, 0, 3]])
  stage.close()
})

test('a next hop that changes has its old address or its new one, and one that is removed is not given out while it may be seen', () => {
  const bench = openBench()
  const { tables } = build(bench)
  tables.insert({ address: Uint8Array.of(192, 0, 2, 0), length: 24 }, 8)
  const stage = openStage(bench, tables)
  assert.equal(stage.pass([packetTo()])['unresolved']!.length, 1)
  tables.changeNextHop(8, { kind: 'forward', port: 2, mac: mac(0x77) })
  const [sent] = stage.pass([packetTo()])['port 2']!
  assert.deepEqual(sent!.slice(0, 12), Uint8Array.of(...mac(0x77), ...mac(0xa2)))
  assert.throws(() => tables.changeNextHop(8, { kind: 'forward', port: 1, mac: mac(1) }), /is of port 2, not 1/)
  tables.setPort(2, { mac: mac(0xb2), mtu: 1500 })
  const [later] = stage.pass([packetTo()])['port 2']!
  assert.deepEqual(later!.slice(0, 12), Uint8Array.of(...mac(0x77), ...mac(0xb2)))
  tables.removeNextHop(1)
  assert.equal(tables.addNextHop({ kind: 'local' }), 1, 'nobody is at work')
  stage.close()
})

test('a merged packet is too big where its segments are', () => {
  const bench = openBench()
  const { tables } = build(bench)
  // By port 1, which takes 80 bytes.
  tables.insert({ address: Uint8Array.of(192, 0, 2, 0), length: 24 }, 2)
  tables.insert({ address: Uint8Array.of(0x20, 1, 0x0d, 0xb8, ...zeros(12)), length: 32 }, 2)
  const stage = openStage(bench, tables)
  for (const [family, protocol, headers] of [
    [4, 'udp', 20 + 8],
    [4, 'tcp', 20 + 32],
    [6, 'udp', 40 + 8],
    [6, 'tcp', 40 + 32],
  ] as const) {
    const options = protocol === 'tcp' ? [1, 1, 8, 10, ...zeros(8)] : []
    const packet = flowFrame({ family, protocol, payload: new Uint8Array(400), flow: 9, options })
    const network = family === 4 ? 20 : 40
    const flagsFor = (segment: number) =>
      (protocol === 'tcp' ? FLAG_TCP : FLAG_UDP) |
      ((14 + network) << FLAGS_TRANSPORT_SHIFT) |
      (segment << FLAGS_SEGMENT_SHIFT)
    const most = 80 - headers
    for (const segment of [1, most].filter((each) => each > 0)) {
      const { 'port 1': out } = stage.pass([packet], flagsFor(segment))
      assert.equal(out!.length, 1, `${family} ${protocol} ${segment}`)
      assert.equal(out![0]![family === 4 ? 22 : 21], 63)
    }
    assert.equal(stage.pass([packet], flagsFor(most + 1))['errors']!.length, 1)
    assert.equal(stage.pass([packet])['errors']!.length, 1)
  }
  stage.close()
})

test('a group shares its flows out as its weights say, each flow one way, and each member has some', () => {
  const bench = openBench()
  const { tables } = build(bench)
  const members = [1000, 500, 500, 1].map((weight, last) => ({
    hop: tables.addNextHop({ kind: 'forward', port: 2, mac: mac(100 + last) }),
    weight,
  }))
  const group = tables.addNextHop({ kind: 'group', members })
  tables.insert({ address: Uint8Array.of(192, 0, 2, 0), length: 24 }, group)
  const stage = openStage(bench, tables)
  const flows = Array.from({ length: 4096 }, (_, flow) => {
    const packet = packetTo()
    write16(packet, 34, 1024 + flow)
    return packet
  })
  const hopsOf = () => {
    const hops: number[] = []
    for (let at = 0; at < flows.length; at += 256)
      hops.push(...stage.pass(flows.slice(at, at + 256))['port 2']!.map((packet) => packet[5]! - 100))
    return hops
  }
  const hops = hopsOf()
  assert.deepEqual(hopsOf(), hops)
  const counts = members.map((_, member) => hops.filter((hop) => hop === member).length)
  // 32, 16, 15 and 1 of 64 buckets; the standard deviation of a bucket's 64 flows is 8.
  const wanted = [2048, 1024, 960, 64]
  counts.forEach((count, member) => {
    assert.ok(Math.abs(count - wanted[member]!) < 160 && count > 0, `${counts} of ${wanted}`)
  })
  stage.close()
})
