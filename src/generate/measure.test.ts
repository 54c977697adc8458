import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { seededRandom } from '../../test/support/random.js'
import { frameSpec, ipv6Ranges, packetsOf, planOf } from '../../test/support/traffic.js'
import { createLink } from '../device/index.js'
import { draw, receive, startEngine } from '../engine/index.js'
import { discard } from '../stages/index.js'
import { STAMP_MAGIC, STAMP_MAGIC_WORD, STAMP_RUN, STAMP_SEQUENCE, STAMP_TIME } from './formats.js'
import { frameTemplates, type Measured, measure } from './index.js'
import { parseSizes } from './sizes.js'

/** Hands packets to the stage, each with the clock at which it comes; gives what it measured. */
function measureAll(bench: EngineBench, packets: readonly Uint8Array[], clock: (packet: number) => number): Measured {
  const { space, code, worker } = bench
  const [near, far] = createLink(space, code, worker, 'wire')
  let at = 0
  const stage = measure('measured', () => clock(at))
  const engine = startEngine(space, code, worker, draw([receive(far), stage, discard('read')]), { bundle: 1 })
  const bundle = bench.bundle('fed')
  for (const packet of packets) {
    bench.fill(bundle, [packet])
    near.send(bundle)
    engine.round()
    at++
  }
  engine.close()
  near.close()
  far.close()
  assert.equal(bench.inUse(), 0)
  return stage.read()
}

const SMALL = { sizes: parseSizes('66-90') }

/** Numbered packets, as the generator makes them. */
function numbered(count: number, change = {}): Uint8Array[] {
  return packetsOf(openBench({ 2048: 512 }, false), planOf(frameTemplates(frameSpec({ ...SMALL, ...change }))), count)
}

describe('what is measured', () => {
  it('loss, copies and order, as a plain count finds them, over IPv4 and IPv6', (context) => {
    const random = seededRandom(context, 'measure')
    for (const change of [
      {},
      { ...ipv6Ranges(), sizes: parseSizes('80-100') },
      { kind: 'syn', sizes: parseSizes('72-99') },
    ]) {
      const sent = numbered(3000, change)
      const order = [...sent.keys()].filter(() => random.below(10) > 0)
      for (let turn = 0; turn < 200; turn++) {
        const [from, to] = [random.below(order.length), random.below(order.length)]
        order.splice(to, 0, random.below(3) === 0 ? order[from]! : order.splice(from, 1)[0]!)
      }
      const measured = measureAll(
        openBench(),
        order.map((number) => sent[number]!),
        () => 0,
      )
      const seen = new Set<number>()
      let [duplicates, reordered, next] = [0, 0, 0]
      for (const number of order) {
        if (seen.has(number)) duplicates++
        else if (number < next) reordered++
        seen.add(number)
        next = Math.max(next, number + 1)
      }
      const { received, expected } = measured
      assert.deepEqual(
        [received, measured.duplicates, measured.reordered, expected, measured.corrupted, measured.others],
        [seen.size, duplicates, reordered, next, 0, 0],
      )
      assert.equal(
        measured.bytes,
        [...seen].reduce((sum, number) => sum + sent[number]!.length, 0),
      )
    }
  })

  it('a packet with a flipped bit is not received, wherever its IP packet was hit', (context) => {
    const random = seededRandom(context, 'measure')
    const sent = numbered(1000)
    for (const packet of sent) {
      // Behind the Ethernet header, but not the version, the magic word and what makes another packet of it.
      const at = random.pick([16, 17, 22, 26, 29, 31, 33, 35, 36, 46, 48, 50, 57, packet.length - 1])
      packet[at]! ^= 1 << random.below(8)
    }
    const { received, corrupted, others } = measureAll(openBench(), sent, () => 0)
    assert.equal(received, 0)
    // Lengths that lie make a packet that cannot be read at all.
    assert.equal(corrupted + others, 1000)
    assert.ok(corrupted > 800, `${corrupted} corrupted`)
  })

  it('delays: least, most and mean exactly, percentiles to 1.6 %', (context) => {
    const random = seededRandom(context, 'measure')
    const delays = Array.from({ length: 5000 }, () => Math.floor(10 ** (random.below(9000) / 1000)))
    const { delaysNs } = measureAll(openBench(), numbered(5000), (packet) => delays[packet]!)
    const sorted = delays.toSorted((one, other) => one - other)
    const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!
    assert.deepEqual([delaysNs!.least, delaysNs!.most], [sorted[0], sorted.at(-1)])
    assert.equal(delaysNs!.mean, delays.reduce((sum, delay) => sum + delay, 0) / delays.length)
    for (const [share, found] of [
      [0.5, delaysNs!.p50],
      [0.9, delaysNs!.p90],
      [0.99, delaysNs!.p99],
      [0.999, delaysNs!.p999],
    ] as const)
      assert.ok(Math.abs(found - at(share)) <= at(share) / 64 + 0.5, `${share}: ${found}, not ${at(share)}`)
  })

  it('another run and what has no stamp are told apart', () => {
    const plain = numbered(20)
    const other = numbered(30).map((packet) => {
      const [copy, view] = [Uint8Array.from(packet), new DataView(packet.buffer, packet.byteOffset)]
      assert.equal(view.getUint32(42 + STAMP_MAGIC, true), STAMP_MAGIC_WORD)
      new DataView(copy.buffer).setUint16(42 + STAMP_RUN, 7, true)
      copy.fill(0, 40, 42)
      return copy
    })
    const none = numbered(5).map((packet) => packet.fill(0, 42, 46))
    const measured = measureAll(openBench(), [...plain, ...other, ...none], () => 0)
    assert.deepEqual([measured.run, measured.received, measured.otherRuns, measured.others], [0x5a5a, 20, 30, 5])
  })

  it('a number beyond the window starts it anew, and what is older cannot be told', () => {
    const stamped = (sequence: number) => {
      const packet = Uint8Array.from(numbered(1)[0]!)
      const view = new DataView(packet.buffer)
      view.setUint32(42 + STAMP_SEQUENCE, sequence, true)
      view.setBigUint64(42 + STAMP_TIME, 5n, true)
      return packet.fill(0, 40, 42)
    }
    const numbers = [5, 2 ** 20 + 5, 6, 5, 3_000_000, 2 ** 20 + 5, 3_000_000 - 2 ** 20 + 1, 2 ** 32 - 2]
    const measured = measureAll(openBench(), numbers.map(stamped), () => 5)
    assert.deepEqual(
      [measured.received, measured.reordered, measured.tooOld, measured.duplicates, measured.expected],
      [6, 2, 2, 0, 2 ** 32 - 1],
    )
  })
})
