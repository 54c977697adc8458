import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBench } from '../../../test/support/engine.js'
import { flowFrame, pseudoHeaderSum } from '../../../test/support/flow-packet.js'
import { createLink } from '../../device/index.js'
import { type Device, printGraph, startEngine } from '../../engine/index.js'
import { type NatRule, openFlows } from '../../flow/index.js'
import { BUNDLE_BYTES } from '../../memory/index.js'
import { openRoutes } from '../../route/index.js'
import { count } from '../../stages/index.js'
import { addWords, foldChecksum, write16 } from '../../wire/index.js'
import { drawRouter, type Hooks } from './draw.js'

const SIZES = { rootBits: 16, nodes: 64, routes: 64 } as const
const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last)

/** A router of two links in memory: 192.0.2.0/25 is behind the first port, the rest of 192.0.2.0/24 behind the second. */
function build(options: {
  readonly hooks?: Hooks
  readonly tracks?: boolean
  readonly rightMtu?: number
  readonly nat?: readonly NatRule[]
}) {
  const bench = openBench({ 2048: 512 })
  const { space, code, worker } = bench
  const tables = openRoutes(space, code, 'test', { v4: SIZES, v6: SIZES, ports: 2 })
  const links = ['left', 'right'].map((name) => createLink(space, code, worker, name))
  links.forEach((_, port) => {
    const mtu = port === 1 ? (options.rightMtu ?? 1500) : 1500
    tables.setPort(port, { mac: mac(port + 1), mtu, v4: [Uint8Array.of(192, 0, 2, 100 + port)] })
    const hop = tables.addNextHop({ kind: 'forward', port, mac: mac(port + 0x11) })
    assert.equal(tables.insert({ address: Uint8Array.of(192, 0, 2, 0), length: 25 - port }, hop), null)
  })
  const flows = options.tracks ? openFlows(space, code, 'test', { flows: 64, nat: options.nat ?? [] }) : undefined
  const ports = links.map(([near], port) => ({
    name: ['left', 'right'][port]!,
    from: [near as Device],
    to: near as Device,
  }))
  const graph = drawRouter({
    ports,
    tables,
    ask() {},
    ...(options.hooks && { hooks: options.hooks }),
    ...(flows && { flows }),
  })
  const engine = startEngine(space, code, worker, graph, { name: 'router' })
  const received = space.reserve({ name: 'test received', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  const packets = (stage: string) => engine.statistics().find(({ name }) => name === stage)?.packets ?? null
  /** Sends by a port, and gives what comes out of the other in the same round. */
  const exchangeFrames = (from: number, ...frames: readonly Uint8Array[]) => {
    const far = links.map(([, end]) => end!)
    bench.fill(received, frames)
    far[from]!.send(received)
    far[from]!.flush()
    engine.round()
    far[1 - from]!.receive(received, 256)
    const got = bench.read(received)
    bench.empty(received)
    return got
  }
  const exchange = (from: number, ...frames: readonly Uint8Array[]) => exchangeFrames(from, ...frames).length
  const close = () => {
    engine.close()
    for (const [one, other] of links) for (const end of [one, other]) end!.close()
    flows?.close()
  }
  return { bench, graph, tables, packets, exchange, exchangeFrames, close }
}

/** A datagram from left to right, and its answer, of which no checksum differs. */
const question = (flow: number) => {
  const frame = flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(20), flow })
  frame.set(mac(1))
  return frame
}
const answer = (flow: number) => {
  const frame = question(flow)
  const [addresses, ports] = [frame.slice(26, 34), frame.slice(34, 38)]
  frame.set([...addresses.slice(4), ...addresses.slice(0, 4)], 26)
  frame.set([...ports.slice(2), ...ports.slice(0, 2)], 34)
  frame.set(mac(2))
  return frame
}

test('a hook without listeners is not in the graph', () => {
  const plain = build({})
  const empty = build({ hooks: { prerouting: [], forward: [], postrouting: [] } })
  assert.equal(printGraph(empty.graph), printGraph(plain.graph))
  for (const { close, bench } of [plain, empty]) {
    close()
    assert.equal(bench.inUse(), 0)
  }
})

test('each hook sees the packets of its place, those of remembered flows as well', () => {
  const router = build({
    tracks: true,
    hooks: {
      prerouting: [(port) => count(`before ${port.name}`)],
      forward: [(from, to) => count(`from ${from.name} to ${to.name}`)],
      postrouting: [(port) => count(`behind ${port.name}`)],
    },
  })
  const { exchange, packets, close, bench } = router
  assert.equal(exchange(0, question(1), question(2)), 2)
  assert.equal(exchange(1, answer(1)), 1)
  assert.equal(exchange(0, question(1), question(1)), 2)
  assert.equal(exchange(1, answer(1)), 1)
  assert.equal(packets('before left'), 4)
  assert.equal(packets('behind right'), 4)
  const ways = ['', 'cached '].map((prefix) => packets(`${prefix}from left to right`)!)
  assert.equal(ways[0]! + ways[1]!, 4)
  assert(ways[1]! >= 2, 'a flow that was answered is routed by what is remembered')
  close()
  assert.equal(bench.inUse(), 0)
  assert.equal(bench.pool.faults().doubleFree, 0)
})

test('packets that wait for a neighbour leave before those that come when it is known', () => {
  const { bench, tables, exchangeFrames, close } = build({})
  const hop = tables.lookup(Uint8Array.of(192, 0, 2, 250)).nextHop
  tables.changeNextHop(hop, { kind: 'unresolved', port: 1 })
  assert.equal(exchangeFrames(0, question(1), question(2)).length, 0)
  assert.equal(exchangeFrames(0, question(3)).length, 0)
  tables.changeNextHop(hop, { kind: 'forward', port: 1, mac: mac(0x12) })
  const sources = exchangeFrames(0, question(4), question(5)).map((frame) => frame[29])
  assert.deepEqual(sources, [1, 2, 3, 4, 5])
  close()
  assert.equal(bench.inUse(), 0)
})

test('what belongs to no connection is dropped where connections are tracked', () => {
  const { exchange, packets, close, bench } = build({ tracks: true })
  const reset = flowFrame({ family: 4, protocol: 'tcp', payload: new Uint8Array(0), flow: 3, flags: 0x04 })
  reset.set(mac(1))
  assert.equal(exchange(0, reset), 0)
  assert.equal(packets('invalid'), 1)
  close()
  assert.equal(bench.inUse(), 0)
})

test('pieces and answers meet the hooks of those that leave, of a flow that is remembered as well', () => {
  const { exchange, packets, close, bench } = build({
    tracks: true,
    rightMtu: 576,
    hooks: {
      forward: [(from, to) => count(`from ${from.name} to ${to.name}`)],
      postrouting: [(port) => count(`behind ${port.name}`)],
    },
  })
  const long = (fragment: number) => {
    const frame = flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(1000), flow: 1, fragment })
    frame.set(mac(1))
    return frame
  }
  assert.equal(exchange(0, long(0)), 2)
  assert.equal(exchange(0, question(1)) + exchange(1, answer(1)) + exchange(0, question(1)), 3)
  assert.equal(exchange(0, long(0), long(0x4000)), 2)
  assert.equal(packets('pieces from left to right'), 4)
  assert.equal(packets('behind right'), 6)
  // The answer, and what is said of the packet that may not be cut.
  assert.equal(packets('behind left'), 2)
  assert.equal(packets('answers'), 1)
  close()
  assert.equal(bench.inUse(), 0)
  assert.equal(bench.pool.faults().doubleFree, 0)
})

test('each piece leaves by the source that the whole is translated to, and the sum is that of the whole', () => {
  const nat: readonly NatRule[] = [{ kind: 'masquerade', outPort: 1, ports: [5000, 5000] }]
  const { exchangeFrames, close, bench } = build({ tracks: true, rightMtu: 576, nat })
  const asked = { family: 4, protocol: 'udp', payload: new Uint8Array(1400).fill(7), flow: 1, fragment: 0 } as const
  const frame = flowFrame(asked)
  frame.set(mac(1))
  const pieces = exchangeFrames(0, frame)
  assert.equal(pieces.length, 3)
  for (const piece of pieces) assert.deepEqual([...piece.subarray(26, 30)], [192, 0, 2, 101])
  const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece.subarray(34)]))
  const wanted = flowFrame(asked)
  wanted.set([192, 0, 2, 101], 26)
  write16(wanted, 34, 5000)
  write16(wanted, 40, 0)
  const pseudo = pseudoHeaderSum(wanted, 14, false, whole.length)
  write16(wanted, 40, foldChecksum(addWords(pseudo, wanted, 34)))
  assert.deepEqual(whole, wanted.subarray(34))
  close()
  assert.equal(bench.inUse(), 0)
})
