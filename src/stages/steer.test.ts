import assert from 'node:assert/strict'
import { it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { seededRandom } from '../../test/support/random.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { createLink } from '../device/index.js'
import { draw, receive, startEngine } from '../engine/index.js'
import { METADATA_BYTES, METADATA_HAS_FLOW, METADATA_HASH, METADATA_VALID } from '../memory/index.js'
import { flowHash } from '../wire/index.js'
import { discard } from './discard.js'
import { steer } from './steer.js'

/** Steers packets, and gives which share each went to, by its number. */
function steerAll(packets: readonly Uint8Array[], shares: number, hashes: readonly (number | null)[] = []) {
  const bench = openBench()
  const { space, code, worker } = bench
  const stage = steer('flows', shares)
  const outputs = stage.outputs.map((name, index) => (index === 0 ? 0 : bench.bundle(name)))
  const running = stage.start({
    space,
    code,
    pool: worker,
    outputs,
    drops: 0,
    reserve: (name, kind, bytes) => space.reserve({ name, kind, bytes }).offset,
    dropAll() {},
  })
  const bundle = bench.bundle('in')
  bench.fill(bundle, packets)
  hashes.forEach((hash, index) => {
    const metadata = space.words[(bundle + 16 + index * 16) / 4]! - METADATA_BYTES
    if (hash === null) return
    space.bytes[metadata + METADATA_VALID] = METADATA_HAS_FLOW
    new DataView(space.memory.buffer).setUint32(metadata + METADATA_HASH, hash, true)
  })
  running.run(bundle)
  const went = [bundle, ...outputs.slice(1)].map((each) => bench.read(each))
  for (const each of [bundle, ...outputs.slice(1)]) bench.empty(each)
  assert.equal(bench.inUse(), 0)
  return went
}

function shareOf(hash: number, shares: number): number {
  return Math.floor((hash * shares) / 2 ** 32)
}

it('sends each packet where the plain flow hash says, in order', (context) => {
  const random = seededRandom(context, 'steer')
  for (let turn = 0; turn < 200; turn++) {
    const shares = random.pick([1, 2, 3, 64, 200])
    const packets = Array.from({ length: 1 + random.below(256) }, () => randomPacket(random).bytes)
    const wanted = Array.from({ length: shares }, (_, share) =>
      packets.filter((packet) => shareOf(flowHash(packet), shares) === share),
    )
    assert.deepEqual(steerAll(packets, shares), wanted)
  }
})

it('takes the hash of the metadata where it is valid, and does not look at the header', (context) => {
  const random = seededRandom(context, 'steer')
  const packets = Array.from({ length: 256 }, () => randomPacket(random).bytes)
  const hashes = packets.map(() => (random.below(2) === 0 ? null : random.word()))
  const wanted = Array.from({ length: 64 }, (_, share) =>
    packets.filter((packet, index) => shareOf(hashes[index] ?? flowHash(packet), 64) === share),
  )
  assert.deepEqual(steerAll(packets, 64, hashes), wanted)
})

it('has one hash for both directions, one for all fragments, and another for other ports', () => {
  const packet = (from: number, to: number, ports: readonly number[], fragment = 0) =>
    Uint8Array.from([
      ...[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0],
      ...[0x45, 0, 0, 28, 0, 1, fragment, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to],
      ...[0, ports[0]!, 0, ports[1]!, 0, 8, 0, 0],
    ])
  assert.equal(flowHash(packet(1, 2, [53, 99])), flowHash(packet(2, 1, [99, 53])))
  assert.notEqual(flowHash(packet(1, 2, [53, 99])), flowHash(packet(1, 2, [53, 98])))
  assert.equal(flowHash(packet(1, 2, [53, 99], 0x20)), flowHash(packet(1, 2, [7, 8], 0x20)))
  assert.notEqual(flowHash(packet(1, 2, [53, 99], 0x40)), flowHash(packet(1, 2, [7, 8], 0x40)))
})

it('shares flows out evenly', (context) => {
  const random = seededRandom(context, 'steer')
  const counts = new Uint32Array(16)
  for (let flow = 0; flow < 16_000; flow++) {
    const frame = new Uint8Array(42)
    frame.set([8, 0, 0x45], 12)
    frame[23] = 17
    // A flood's sources: one network, ports in a row.
    frame.set([10, 0, random.below(4), random.below(256), 203, 0, 113, 9, flow >> 8, flow & 255, 0, 53], 26)
    counts[shareOf(flowHash(frame), 16)]!++
  }
  // 1000 each; the standard deviation of a fair share is 31.
  for (const count of counts) assert.ok(count > 800 && count < 1200, String(counts))
})

it('stands in a graph, each share by its own way', () => {
  const bench = openBench()
  const { space, code, worker } = bench
  const [near, far] = createLink(space, code, worker, 'wire')
  const graph = draw([receive(far), steer('flows', 2), discard('even')], ['flows.1', discard('odd')])
  const engine = startEngine(space, code, worker, graph)
  const bundle = bench.bundle('in')
  bench.fill(
    bundle,
    Array.from({ length: 64 }, (_, flow) =>
      Uint8Array.from({ length: 42 }, (_, at) => ({ 12: 8, 14: 0x45, 23: 17, 35: flow })[at] ?? 0),
    ),
  )
  near.send(bundle)
  assert.equal(engine.round(), 64)
  const [, even, odd] = engine.statistics()
  assert.ok(even!.packets > 0 && odd!.packets > 0)
  assert.equal(even!.packets + odd!.packets, 64)
  assert.equal(bench.inUse(), 0)
})
