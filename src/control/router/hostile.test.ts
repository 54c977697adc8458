import assert from 'node:assert/strict'
import { test } from 'node:test'
import { damagedFrame } from '../../../test/support/damaged-frame.js'
import { openBench } from '../../../test/support/engine.js'
import { cutIp, randomCuts, shuffled } from '../../../test/support/fragmented.js'
import { type Random, seededRandom } from '../../../test/support/random.js'
import { errorAbout, translatedIp } from '../../../test/support/translated-packet.js'
import { createLink } from '../../device/index.js'
import { type Device, startEngine } from '../../engine/index.js'
import { type NatRule, openFlows } from '../../flow/index.js'
import { parseAddress } from '../../kernel/index.js'
import { BUNDLE_BYTES } from '../../memory/index.js'
import { type NextHop, openRoutes } from '../../route/index.js'
import { addWords, ETHERTYPE, foldChecksum, writeEthernet } from '../../wire/index.js'
import { drawRouter } from './draw.js'

const SIZES = { rootBits: 16, nodes: 64, routes: 64 } as const
const NAMES = ['inside', 'outside'] as const
const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last)
const MACS = [mac(1), mac(2)] as const
const NEIGHBOURS = [mac(0x11), mac(0x12)] as const
const MTUS = [[1500], [1500, 1280, 600]] as const
const OWN = ['10.0.0.1', '203.0.113.1', 'fd00::1', '2001:db8:1::1'].map(parseAddress)
/** Inside, outside, the router's, the published one's, and where no packet goes. */
const ADDRESSES = [
  ['10.0.0.2', '10.0.0.3', '10.0.0.9', '198.51.100.1', '198.51.100.2', '203.0.113.1', '10.0.0.1', '203.0.113.80'],
  ['fd00::2', 'fd00::3', 'fd00::9', '2001:db8:2::1', '2001:db8:2::2', '2001:db8:1::1', 'fd00::1', '2001:db8:1::80'],
].map((family) => family.map(parseAddress))
const ODD = [
  ['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', '192.0.2.1'],
  ['::', '::1', 'ff02::1', 'fe80::1', '2001:db8:9::1'],
].map((family) => family.map(parseAddress))

const NAT: readonly NatRule[] = [
  ...[4, 16].map(
    (bytes): NatRule => ({
      kind: 'destination',
      to: { address: ADDRESSES[bytes === 4 ? 0 : 1]![7]!, length: bytes * 8, protocol: 6, port: 80 },
      address: ADDRESSES[bytes === 4 ? 0 : 1]![2]!,
      port: 8080,
    }),
  ),
  { kind: 'masquerade', outPort: 1, ports: [2000, 2031] },
]

/** As little room as brings out what happens without. */
const FRAGMENTS = { datagrams: 12, waiting: 20, seconds: 2 }
const MOST_AT_ONCE = 200

function build(nat: readonly NatRule[]) {
  const bench = openBench({ 2048: 1024 })
  const { space, code, worker } = bench
  const tables = openRoutes(space, code, 'test', { v4: SIZES, v6: SIZES, ports: 2, nextHops: 64, groups: 8 })
  const links = NAMES.map((name) => createLink(space, code, worker, name))
  let now = 0
  const flows = openFlows(space, code, 'test', { flows: 96, nat, now: () => now, fragments: FRAGMENTS })
  const mtus = [1500, 1500]
  const setPort = (port: number, mtu: number) => {
    mtus[port] = mtu
    tables.setPort(port, { mac: MACS[port]!, mtu, v4: [OWN[port]!], v6: [OWN[2 + port]!] })
  }
  setPort(0, 1500)
  setPort(1, 1500)
  const prefix = (text: string, length: number) => ({ address: parseAddress(text), length })
  const known = (port: number): NextHop => ({ kind: 'forward', port, mac: NEIGHBOURS[port]! })
  const hops = [0, 1, 1].map((port) => tables.addNextHop(known(port)))
  const group = tables.addNextHop({ kind: 'group', members: [{ hop: hops[1]! }, { hop: hops[2]!, weight: 2 }] })
  const local = tables.addNextHop({ kind: 'local' })
  const others = (['blackhole', 'unreachable', 'prohibit'] as const).map((kind) => tables.addNextHop({ kind }))
  for (const address of OWN) tables.insert({ address, length: address.length * 8 }, local)
  const lead = (random: Random | null) => {
    const to = random === null ? hops[1]! : random.pick([hops[1]!, hops[1]!, group, group, ...others])
    for (const [text, length] of [
      ['198.51.100.0', 24],
      ['2001:db8:2::', 48],
    ] as const)
      tables.insert(prefix(text, length), to)
  }
  tables.insert(prefix('10.0.0.0', 8), hops[0]!)
  tables.insert(prefix('fd00::', 16), hops[0]!)
  lead(null)
  const ports = links.map(([near], port) => ({ name: NAMES[port]!, from: [near as Device], to: near as Device }))
  const engine = startEngine(space, code, worker, drawRouter({ ports, tables, ask() {}, flows }), { name: 'router' })
  const bundle = space.reserve({ name: 'test bundle', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  return {
    mtu: (port: number) => mtus[port]!,
    change(random: Random) {
      now += random.below(4) === 0 ? random.below(200_000) : random.below(300)
      if (random.below(3) === 0) setPort(1, random.pick(MTUS[1]))
      if (random.below(3) === 0) lead(random)
      const place = random.below(3)
      const port = place === 0 ? 0 : 1
      if (random.below(2) === 0)
        tables.changeNextHop(hops[place]!, random.below(3) === 0 ? { kind: 'unresolved', port } : known(port))
    },
    send(port: number, frames: readonly Uint8Array[]) {
      bench.fill(bundle, frames)
      links[port]![1].send(bundle)
      bench.empty(bundle)
      links[port]![1].flush()
    },
    round(): Uint8Array[][] {
      engine.round()
      return links.map(([, far]) => {
        const frames: Uint8Array[] = []
        while (far.receive(bundle, 256) > 0) {
          frames.push(...bench.read(bundle))
          bench.empty(bundle)
        }
        return frames
      })
    },
    close() {
      engine.close()
      for (const [one, other] of links) for (const end of [one, other]) end.close()
      flows.close()
      assert.equal(bench.inUse(), 0)
      const { lastFrame: _, ...faults } = bench.pool.faults()
      assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
    },
  }
}

/** Frames that come in by that port; errors are about what has gone out there. */
function framesFor(random: Random, port: number, gone: readonly Uint8Array[], damages: boolean): Uint8Array[] {
  const ip = ipFor(random, port, gone)
  const pieces = random.below(3) === 0 ? piecesOf(random, ip) : [ip]
  return pieces.map((piece) => framed(random, port, piece, damages))
}

/** Cut anywhere, in any order, some of them missing, with identifications that others have as well. */
function piecesOf(random: Random, ip: Uint8Array): Uint8Array[] {
  const cuts = randomCuts(random, ip.length - (ip[0]! >> 4 === 4 ? 20 : 40), 0)
  const pieces = shuffled(random, cutIp(ip, cuts, random.below(8)))
  return random.below(2) === 0 ? pieces : pieces.filter(() => random.below(4) > 0)
}

function framed(random: Random, port: number, ip: Uint8Array, damages: boolean): Uint8Array {
  const frame = new Uint8Array(14 + ip.length)
  const to = random.below(30) === 0 ? mac(0x77) : MACS[port]!
  writeEthernet(frame, to, NEIGHBOURS[port]!, ip[0]! >> 4 === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6)
  frame.set(ip, 14)
  return damages && random.below(2) === 0 ? damagedFrame(random, frame) : frame
}

function ipFor(random: Random, port: number, gone: readonly Uint8Array[]): Uint8Array {
  const family = random.below(2)
  const pool = ADDRESSES[family]!
  const any = () => random.pick(random.below(12) === 0 ? ODD[family]! : pool)
  if (gone.length > 0 && random.below(3) === 0) {
    const quoted = random.pick(gone).slice(14)
    const isIpv4 = quoted[0]! >> 4 === 4
    const source = isIpv4 ? quoted.slice(12, 16) : quoted.slice(8, 24)
    const by = random.below(2) === 0 ? ADDRESSES[isIpv4 ? 0 : 1]![4]! : isIpv4 ? quoted.slice(16, 20) : quoted.slice(24)
    return errorAbout(quoted, by.slice(0, isIpv4 ? 4 : 16), source, random.pick([28, 48, 64, 200, 548]))
  }
  const protocol = random.pick(['tcp', 'udp', 'icmp'] as const)
  const inside = () => pool[random.below(3)]!
  const ports = [random.pick([80, 2000 + random.below(40)]), random.pick([80, 8080, 53, 2000 + random.below(40)])]
  return translatedIp({
    protocol,
    source: random.below(4) === 0 ? any() : port === 0 ? inside() : pool[3 + random.below(2)]!,
    destination: random.below(4) === 0 ? any() : port === 0 ? pool[3 + random.below(2)]! : pool[5]!,
    sourcePort: ports[0]!,
    destinationPort: protocol === 'icmp' ? ports[0]! : ports[1]!,
    payload: new Uint8Array(random.pick([0, 1, 7, 64, 560, 1200, 1300])),
    isReply: random.below(2) === 0,
    hops: random.pick([0, 1, 2, 64, 64, 64, 255]),
    isUnsummed: protocol === 'udp' && family === 0 && random.below(4) === 0,
    flags: random.pick([2, 0x12, 0x10, 0x11, 4, 0x14, 0x3f]),
  })
}

/** What any packet is that the router sends. */
function assertSound(frame: Uint8Array, port: number, mtu: number): void {
  const [to, from] = [frame.slice(0, 6), frame.slice(6, 12)]
  assert.deepEqual([to, from], [NEIGHBOURS[port], MACS[port]])
  const isIpv4 = frame[12] === 8
  const lives = frame[isIpv4 ? 22 : 21]!
  assert.ok(lives > 0 && lives < 255, `it has ${lives} hops left`)
  const total = isIpv4 ? (frame[16]! << 8) | frame[17]! : 40 + ((frame[18]! << 8) | frame[19]!)
  assert.ok(total + 14 <= frame.length && total <= mtu, `${total} bytes in a frame of ${frame.length}`)
  if (!isIpv4) return
  const header = frame.subarray(14, 14 + (frame[14]! & 15) * 4)
  assert.equal(foldChecksum(addWords(0, header)), 0, 'the sum of the header is right')
}

/** Of a packet that came undamaged: its transport's sum is right. */
function assertSummed(frame: Uint8Array): void {
  const isIpv4 = frame[12] === 8
  if (isIpv4 && (((frame[20]! << 8) | frame[21]!) & 0x3fff) !== 0) return
  const protocol = frame[isIpv4 ? 23 : 20]!
  const field = { 1: 2, 6: 16, 17: 6, 58: 2 }[protocol]
  const at = 14 + (isIpv4 ? 20 : 40)
  const end = 14 + (isIpv4 ? (frame[16]! << 8) | frame[17]! : 40 + ((frame[18]! << 8) | frame[19]!))
  if (field === undefined || (protocol === 17 && frame[at + 6] === 0 && frame[at + 7] === 0)) return
  const pseudo = protocol === 1 ? 0 : addWords(protocol + end - at, frame, isIpv4 ? 26 : 22, isIpv4 ? 34 : 54)
  assert.equal(foldChecksum(addWords(pseudo, frame, at, end)), 0, `the sum of protocol ${protocol} is right`)
}

for (const translates of [false, true])
  for (const damages of [false, true])
    test(`a router that ${translates ? 'translates' : 'tracks'} sends nothing wrong and loses no frame, whatever comes${damages ? ', damaged' : ''}`, (context) => {
      const random = seededRandom(context, 'router/hostile')
      const router = build(translates ? NAT : [])
      const gone: Uint8Array[][] = [[], []]
      let sent = 0
      for (let round = 0; round < 400; round++) {
        const port = random.below(2)
        const count = random.pick([1, 8, 64])
        router.send(
          port,
          Array.from({ length: count }, () => framesFor(random, port, gone[port]!, damages))
            .flat()
            .slice(0, MOST_AT_ONCE),
        )
        router.round().forEach((frames, by) => {
          for (const frame of frames) {
            assertSound(frame, by, router.mtu(by))
            if (!damages) assertSummed(frame)
          }
          sent += frames.length
          gone[by] = [...gone[by]!, ...frames].slice(-50)
        })
        if (random.below(4) === 0) router.change(random)
      }
      assert.ok(sent > 100, `${sent} packets were sent`)
      router.close()
    })
