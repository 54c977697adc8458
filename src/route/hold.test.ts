import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { flowFrame } from '../../test/support/flow-packet.js'
import { collect, once } from '../../test/support/stage-suite.js'
import { draw, receive, startEngine } from '../engine/index.js'
import { discard } from '../stages/index.js'
import { forward, type HoldOptions, hold, openRoutes, openShare } from './index.js'

const OWN = Uint8Array.of(2, 0, 0, 0, 0, 0x0b)
const SIZES = { rootBits: 16, nodes: 16, routes: 16 } as const

/** A router of one port whose packets wait for neighbours, and what has left it. */
function openRig(bench: EngineBench, ask: HoldOptions['ask'] = () => {}) {
  const tables = openRoutes(bench.space, bench.code, 'test', { v4: SIZES, v6: SIZES, ports: 1, groups: 2 })
  tables.setPort(0, { mac: OWN, mtu: 1500 })
  const bundle = bench.bundle('sent')
  const sent: Uint8Array[] = []
  const [route, held] = [forward('route', tables, { inPort: 0 }), hold('held', tables, { ask })]
  const again = forward('again', tables, { inPort: 0 })
  const [end, lost] = [collect(bench, 'sent', sent), discard('lost')]
  const others = [route, again].flatMap(({ name }) => [
    [`${name}.port 0`, end] as const,
    [`${name}.local`, lost] as const,
    [`${name}.errors`, lost] as const,
  ])
  const graph = draw(
    [receive(once(bench, bundle)), route],
    ['route.unresolved', held, again],
    ['held.failed', lost],
    ['again.unresolved', lost],
    ...others,
  )
  const engine = startEngine(bench.space, bench.code, bench.worker, graph)
  return {
    tables,
    /** Sends packets, and gives where those go that leave in this round: the last byte of the Ethernet address. */
    pass(packets: readonly Uint8Array[]): number[] {
      bench.fill(bundle, packets)
      engine.round()
      return sent.splice(0).map((packet) => packet[5]!)
    },
    count: (stage: string) => engine.statistics().find(({ name }) => name === stage)!.packets,
    close() {
      engine.close()
      tables.close()
      assert.equal(bench.inUse(), 0)
    },
  }
}

const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 9, last)
const packetOf = (family: 4 | 6, flow: number) => {
  const packet = flowFrame({ family, protocol: 'udp', payload: new Uint8Array(8), flow })
  packet.set(OWN)
  return packet
}

for (const family of [4, 6] as const) {
  test(`IPv${family} packets by a group wait until the neighbour of their own flow is known`, () => {
    const rig = openRig(openBench())
    const { tables, pass, count, close } = rig
    const members = [0, 1].map(() => ({ hop: tables.addNextHop({ kind: 'unresolved', port: 0 }) }))
    const group = tables.addNextHop({ kind: 'group', members })
    const any = { address: new Uint8Array(family === 4 ? 4 : 16), length: 0 }
    tables.insert(any, group)
    const packets = Array.from({ length: 32 }, (_, flow) => packetOf(family, flow))
    assert.deepEqual(pass(packets), [])
    assert.deepEqual(pass([]), [])
    // A change of something else is no answer.
    const other = tables.addNextHop({ kind: 'blackhole' })
    tables.insert({ ...any, length: 8 }, other)
    tables.remove({ ...any, length: 8 })
    assert.deepEqual(pass([]), [])
    assert.equal(count('again'), 0)
    tables.changeNextHop(members[1]!.hop, { kind: 'forward', port: 0, mac: mac(1) })
    const first = pass([])
    assert.ok(first.length > 0 && first.length < packets.length, `${first.length} of ${packets.length} have left`)
    assert.ok(first.every((last) => last === 1))
    tables.changeNextHop(members[0]!.hop, { kind: 'forward', port: 0, mac: mac(0) })
    assert.deepEqual(
      pass([]),
      Array.from({ length: packets.length - first.length }, () => 0),
    )
    assert.equal(count('lost'), 0)
    close()
  })
}

test('who sends to all addresses of a network has a bounded number of them asked for, and leaves some to others', () => {
  const asks = new Map<number, number>()
  const { tables, pass, close } = openRig(openBench(), (_, __, sender) => asks.set(sender, (asks.get(sender) ?? 0) + 1))
  tables.insert({ address: new Uint8Array(4), length: 0 }, tables.addNextHop({ kind: 'unresolved', port: 0 }))
  const begin = performance.now()
  for (let bundle = 0; bundle < 200; bundle++) pass(Array.from({ length: 64 }, (_, flow) => packetOf(4, flow)))
  const spans = Math.floor((performance.now() - begin) / 10) + 1
  const [sweeping] = asks.values()
  assert.equal(asks.size, 1)
  assert.ok(sweeping! >= 32 && sweeping! <= 32 * spans, `${sweeping} asks in ${spans} times 10 ms`)
  close()
})

test('what is short is shared out so that somebody new finds some, whoever has had his share before', () => {
  const share = openShare(64)
  const takeAll = (sender: number) => {
    let count = 0
    while (share.take(sender)) count++
    return count
  }
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 8].map(takeAll), [32, 16, 8, 4, 2, 1, 1, 0])
  share.give(1)
  assert.equal(takeAll(9), 1)
  share.reset()
  assert.equal(takeAll(8), 32)
})

test('a group that there is no room for takes no number of a next hop with it', () => {
  const bench = openBench()
  const tables = openRoutes(bench.space, bench.code, 'test', { v4: SIZES, v6: SIZES, ports: 1, groups: 1, nextHops: 8 })
  tables.setPort(0, { mac: OWN, mtu: 1500 })
  const hop = tables.addNextHop({ kind: 'unresolved', port: 0 })
  const group = { kind: 'group', members: [{ hop }] } as const
  tables.addNextHop(group)
  for (let time = 0; time < 20; time++) assert.throws(() => tables.addNextHop(group), /there are 1 groups already/)
  // 1 to 7 are given out, of which two are.
  const rest = Array.from({ length: 5 }, () => tables.addNextHop({ kind: 'blackhole' }))
  assert.throws(() => tables.addNextHop({ kind: 'blackhole' }), /there are 8 next hops already/)
  // And the other way round: where there is no number, a group that is possible again has its row.
  tables.removeNextHop(2)
  tables.addNextHop({ kind: 'blackhole' })
  assert.throws(() => tables.addNextHop(group), /there are 8 next hops already/)
  tables.removeNextHop(rest[0]!)
  tables.addNextHop(group)
  tables.close()
})
