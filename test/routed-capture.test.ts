import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createCapture, openCaptureDevice } from '../src/device/index.js'
import { draw, receive, type Stage, send, startEngine } from '../src/engine/index.js'
import { errors, forward, fragment, type NextHop, openRoutes } from '../src/route/index.js'
import { discard } from '../src/stages/index.js'
import { openBench } from './support/engine.js'
import { flowFrame } from './support/flow-packet.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'
import { once } from './support/stage-suite.js'

const SIZES = { rootBits: 16, nodes: 16, routes: 16 } as const
const OFF = { rates: { 'time exceeded': 'off', unreachable: 'off', 'too big': 'off' }, perTarget: 'off' } as const
const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last)
const MINE = mac(0x0b)
const v6 = (last: number) => Uint8Array.of(0x20, 1, 0x0d, 0xb8, ...new Uint8Array(11), last)

/** What the destination's next hop is, a bundle each. */
const HOPS: readonly NextHop[] = [
  { kind: 'forward', port: 0, mac: mac(2) },
  { kind: 'forward', port: 0, mac: mac(3), mtu: 1280 },
  { kind: 'forward', port: 0, mac: mac(4), mtu: 576 },
  { kind: 'forward', port: 0, mac: mac(5), mtu: 68 },
  { kind: 'unreachable' },
  { kind: 'prohibit' },
]

function randomToRoute(random: Random): Uint8Array {
  return flowFrame({
    family: random.pick([4, 4, 6] as const),
    protocol: random.pick(['tcp', 'udp']),
    payload: new Uint8Array(random.pick([0, 1, 100, 555, 1000, 1300, 1420])).map(() => random.below(256)),
    flow: 2 + random.below(200),
    hops: random.pick([1, 2, 64]),
    service: random.below(256),
    identification: random.below(65_536),
    fragment: random.pick([0x4000, 0, 0, 0x2000]),
    ipOptions:
      random.below(4) === 0
        ? random.pick([
            [148, 4, 0, 0],
            [7, 7, 4, 0, 0, 0, 0, 0],
          ])
        : [],
  })
}

test('tcpdump finds every checksum right of what a router has rewritten, cut and answered', {
  skip: skipUnless('tcpdump'),
}, (context) => {
  const random = seededRandom(context, 'routed-capture')
  const bench = openBench({ 2048: 1024 })
  const { space, code, worker } = bench
  const folder = mkdtempSync(join(tmpdir(), 'sluice-routed-'))
  const path = join(folder, 'routed.pcap')
  const writer = createCapture(path, { linkTypeNumber: 1, snapLength: 65_535, resolution: 'microseconds' })
  const file = openCaptureDevice(space, code, worker, { name: 'file', writer })
  const tables = openRoutes(space, code, 'test', { v4: SIZES, v6: SIZES, ports: 1 })
  tables.setPort(0, { mac: MINE, mtu: 1500, v4: [Uint8Array.of(192, 0, 2, 1)], v6: [v6(1)] })
  const back = tables.addNextHop({ kind: 'forward', port: 0, mac: mac(9) })
  tables.insert({ address: Uint8Array.of(192, 0, 2, 0), length: 24 }, back)
  tables.insert({ address: v6(0), length: 64 }, back)
  const sent = bench.bundle('sent')
  const [route, again, answers] = ([0, 0, null] as const).map((inPort, order) =>
    forward(['route', 'again', 'answers'][order]!, tables, { inPort }),
  ) as [Stage, Stage, Stage]
  const [cut, said, rest] = [fragment('fragment', tables), errors('errors', tables, OFF), discard('rest')]
  const graph = draw(
    [receive(once(bench, sent)), route, send(file)],
    ['route.errors', cut, said, answers, send(file)],
    ['fragment.fragments', again, send(file)],
    ...['route', 'again', 'answers'].flatMap((name) => [
      [`${name}.local`, rest] as const,
      [`${name}.unresolved`, rest] as const,
    ]),
    ['again.errors', rest],
    ['answers.errors', rest],
  )
  const engine = startEngine(space, code, worker, graph)
  for (const hop of HOPS) {
    const id = tables.addNextHop(hop)
    tables.insert({ address: Uint8Array.of(192, 0, 2, 250), length: 32 }, id)
    tables.insert({ address: v6(250), length: 128 }, id)
    for (let bundle = 0; bundle < 12; bundle++) {
      bench.fill(
        sent,
        Array.from({ length: 48 }, () => randomToRoute(random)),
      )
      engine.round()
    }
  }
  const counted = Object.fromEntries(engine.statistics().map(({ name, packets }) => [name, packets]))
  engine.close()
  file.close()
  assert.equal(bench.inUse(), 0)
  const text = execFileSync('tcpdump', ['-r', path, '-nn', '-vv'], {
    encoding: 'utf8',
    stdio: 'pipe',
    maxBuffer: 2 ** 26,
  })
  rmSync(folder, { recursive: true })
  assert.deepEqual(text.match(/.*(bad (udp |icmp6 |icmp )?cksum|wrong icmp cksum|\(incorrect|bad sum).*/g) ?? [], [])
  const packets = text.match(/^\S+ IP6? \(/gm)!.length
  assert.equal(packets, counted['send file'])
  assert(text.match(/ICMP time exceeded in-transit/g)!.length > 20)
  assert(text.match(/unreachable - need to frag \(mtu 576\)/g)!.length > 5)
  assert(text.match(/ICMP6, packet too big, mtu 1280/g)!.length > 5)
  assert(text.match(/offset [1-9]\d*, flags \[\+\]/g)!.length > 100)
  context.diagnostic(`${packets} packets, ${counted['answers']} answers, ${counted['again']} fragments`)
})
