import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { seededRandom } from '../../test/support/random.js'
import { collect, once } from '../../test/support/stage-suite.js'
import { type TrackedPacket, trackedFrame } from '../../test/support/tracked-packet.js'
import { draw, receive, startEngine } from '../engine/index.js'
import { forward, openRoutes, type Routes } from '../route/index.js'
import { openFlows } from './flows.js'
import { remember } from './remember.js'
import { track } from './track.js'

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)
const NEXT = [
  Uint8Array.of(2, 0, 0, 0, 1, 0),
  Uint8Array.of(2, 0, 0, 0, 1, 1),
  Uint8Array.of(2, 0, 0, 0, 1, 2),
] as const
const OUTPUTS = ['route.errors', 'route.local', 'route.unresolved', 'track.invalid', 'track.untracked'] as const

/** A router with two ports whose packets all come by port 0; what leaves by a port, by who decided. */
interface Router {
  readonly bench: EngineBench
  readonly tables: Routes
  readonly hops: readonly number[]
  send(...frames: Uint8Array[]): Readonly<Record<string, Uint8Array[]>>
  close(): void
}

function openRouter(): Router {
  const bench = openBench()
  const { space, code, worker } = bench
  const tables = openRoutes(space, code, 'test', {
    v4: { rootBits: 16, nodes: 16, routes: 64 },
    v6: { rootBits: 8, nodes: 8, routes: 8 },
    ports: 2,
  })
  for (const port of [0, 1]) tables.setPort(port, { mac: MAC, mtu: 1500 })
  const hops = NEXT.map((mac, index) => tables.addNextHop({ kind: 'forward', port: index % 2, mac }))
  for (const address of [
    [192, 0, 2, 0],
    [198, 51, 100, 0],
  ])
    tables.insert({ address: Uint8Array.from(address), length: 24 }, hops[1]!)
  const flows = openFlows(space, code, 'test')
  const bundle = bench.bundle('sent')
  const routed = forward('route', tables, { inPort: 0 })
  const arrived: Record<string, Uint8Array[]> = {}
  const end = (name: string) => {
    arrived[name] = []
    return collect(bench, name, arrived[name])
  }
  const graph = draw(
    [receive(once(bench, bundle)), track('track', flows, { routes: tables, inPort: 0 }), routed],
    ['track.new', routed],
    ['track.related', routed],
    ...[0, 1].map(
      (port) =>
        [
          `route.port ${port}`,
          remember(`remember ${port}`, flows, { inPort: 0, port }),
          end(`routed ${port}`),
        ] as const,
    ),
    ...[0, 1].map((port) => [`track.cached ${port}`, end(`cached ${port}`)] as const),
    ...OUTPUTS.map((output) => [output, end(output)] as const),
  )
  const engine = startEngine(space, code, worker, graph)
  return {
    bench,
    tables,
    hops,
    send(...frames) {
      bench.fill(bundle, frames)
      engine.round()
      const entries = Object.entries(arrived).map(([name, packets]) => [name, packets.splice(0)] as const)
      return Object.fromEntries(entries.filter(([, packets]) => packets.length > 0))
    },
    close() {
      engine.close()
      flows.close()
      tables.close()
      assert.equal(bench.inUse(), 0)
    },
  }
}

const udp = (from: 'client' | 'server', port: number, length = 20): TrackedPacket => ({
  from,
  protocol: 'udp',
  port,
  payload: new Uint8Array(length),
})
const frame = (packet: TrackedPacket, hops = 64): Uint8Array => {
  const bytes = trackedFrame(packet, MAC)
  const before = bytes[22]!
  bytes[22] = hops
  // RFC 1624: the header's checksum after another time to live.
  const sum = ((bytes[24]! << 8) | bytes[25]!) + ((before - hops) << 8)
  const folded = ((sum % 0x10000) + 0x10000 + Math.floor(sum / 0x10000)) % 0x10000
  bytes[24] = folded >> 8
  bytes[25] = folded & 255
  return bytes
}

describe('a decision that is remembered with a flow', () => {
  it('makes of a packet what the tables of routes make of it', () => {
    const router = openRouter()
    for (const packet of [udp('client', 1), udp('server', 1), { from: 'client', flags: 'S', port: 2 } as const]) {
      const first = router.send(frame(packet))
      const second = router.send(frame(packet))
      assert.deepEqual(Object.keys(first), ['routed 1'])
      assert.deepEqual(Object.keys(second), ['cached 1'])
      assert.deepEqual(second['cached 1'], first['routed 1'])
    }
    router.close()
  })

  it('ends with each change of a route, a next hop and a port, and in the same bundle as the next packet', (context) => {
    const random = seededRandom(context, 'remember')
    const router = openRouter()
    const { tables, hops } = router
    const prefix = { address: Uint8Array.of(198, 51, 100, 1), length: 32 }
    let mac = NEXT[1]
    const changes = [
      () => {
        const chosen = random.below(3)
        tables.insert(prefix, hops[chosen]!)
        mac = NEXT[chosen]!
      },
      () => {
        tables.remove(prefix)
        mac = NEXT[1]
      },
      () => tables.setPort(1, { mac: MAC, mtu: 1400 + random.below(100) }),
    ]
    router.send(frame(udp('client', 1)))
    for (let turn = 0; turn < 500; turn++) {
      const generation = tables.generation()
      if (random.below(2) === 0) random.pick(changes)()
      // To remove what is not there is no change.
      const isChanged = tables.generation() !== generation
      const found = router.send(frame(udp('client', 1)), frame(udp('client', 1)))
      const [name, packets] = Object.entries(found)[0]!
      assert.equal(name.slice(0, -2), isChanged ? 'routed' : 'cached')
      assert.equal(packets.length, 2)
      for (const packet of packets) assert.deepEqual(packet.slice(0, 6), mac)
    }
    router.close()
  })

  it('is not for a longer packet, for one at the end of its life, or for another station', () => {
    const router = openRouter()
    router.send(frame(udp('client', 1)))
    assert.deepEqual(Object.keys(router.send(frame(udp('client', 1, 100)))), ['routed 1'])
    assert.deepEqual(Object.keys(router.send(frame(udp('client', 1, 100)))), ['cached 1'])
    assert.deepEqual(Object.keys(router.send(frame(udp('client', 1, 1480)))), ['route.errors'])
    assert.deepEqual(Object.keys(router.send(frame(udp('client', 1), 1))), ['route.errors'])
    const other = frame(udp('client', 1))
    other[5] = 9
    assert.deepEqual(router.send(other), {})
    const odd = frame(udp('client', 1))
    odd[24]! ^= 1
    assert.deepEqual(Object.keys(router.send(odd)), ['track.untracked'])
    router.close()
  })
})
