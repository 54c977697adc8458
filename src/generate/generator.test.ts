import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { seededRandom } from '../../test/support/random.js'
import { frameSpec, packetsOf, planOf, takePackets } from '../../test/support/traffic.js'
import { frameTemplates, openGenerator, type Template, type TrafficPlan } from './index.js'
import { parseSizes } from './sizes.js'

const ONE = frameTemplates(frameSpec())

/** When each of the first packets is due, found by asking for one after the other. */
function dueTimes(change: Partial<TrafficPlan>, count: number, templates: readonly Template[] = ONE): number[] {
  const bench = openBench({ 2048: 512 }, false)
  const generator = openGenerator(bench.space, bench.code, bench.worker, 'test', planOf(templates, change))
  const bundle = bench.bundle('due')
  const times: number[] = []
  while (times.length < count) {
    const due = generator.dueNs()
    for (let left = generator.make(bundle, due); left > 0; left--) times.push(due)
    bench.empty(bundle)
  }
  generator.close()
  return times.slice(0, count)
}

const gaps = (times: readonly number[]) => times.slice(1).map((time, index) => time - times[index]!)

describe('when packets are due', () => {
  it('constant: at equal gaps', () => {
    const times = dueTimes({ packetsPerSecond: 3_000_000 }, 30_001)
    assert.ok(Math.abs(times.at(-1)! - 1e7) < 1, `${times.at(-1)}`)
    for (const gap of gaps(times)) assert.ok(Math.abs(gap - 1000 / 3) < 1e-3)
  })

  it('bursts: so many at once, at the same mean', () => {
    const times = dueTimes({ packetsPerSecond: 1_000_000, arrivals: 'bursts', burst: 32 }, 3200)
    assert.deepEqual(
      [...new Set(times)],
      Array.from({ length: 100 }, (_, index) => index * 32_000),
    )
    for (const start of new Set(times)) assert.equal(times.filter((time) => time === start).length, 32)
  })

  it('poisson: gaps are exponential (Kolmogorov and Smirnov), and no gap tells the next', (context) => {
    const { seed } = seededRandom(context, 'generator')
    const count = 50_000
    const all = gaps(dueTimes({ packetsPerSecond: 1_000_000, arrivals: 'poisson', seed }, count + 1))
    const sorted = all.toSorted((one, other) => one - other)
    const distance = sorted.reduce((most, gap, index) => {
      const wanted = 1 - Math.exp(-gap / 1000)
      return Math.max(most, Math.abs(wanted - index / count), Math.abs(wanted - (index + 1) / count))
    }, 0)
    // Exceeded once in 10^8 runs: 2 exp(-2 * 3.1^2) = 9e-9.
    assert.ok(distance * Math.sqrt(count) < 3.1, `D = ${distance}`)
    const mean = all.reduce((sum, gap) => sum + gap, 0) / count
    const product = gaps(all).reduce((sum, _, index) => sum + (all[index]! - mean) * (all[index + 1]! - mean), 0)
    const correlation = product / (count * mean * mean)
    assert.ok(Math.abs(correlation) * Math.sqrt(count) < 6, `correlation ${correlation}`)
  })

  it('recorded: by the gap of each template, round and round', () => {
    const templates = [5, 0, 700].map((gapNs) => ({ ...ONE[0]!, gapNs }))
    const times = dueTimes({ arrivals: 'recorded', isInTurn: true }, 7, templates)
    assert.deepEqual(times, [0, 5, 5, 705, 710, 710, 1410])
  })

  it('leaves out what is later than its slack, and counts it', () => {
    const bench = openBench()
    const plan = planOf(ONE, { packetsPerSecond: 100_000 })
    const generator = openGenerator(bench.space, bench.code, bench.worker, 'test', plan)
    const made = takePackets(bench, bench.bundle('late'), generator, 1e6, 1e9).length
    // A second at 100,000 a second: 10 ms of it are made up for.
    assert.deepEqual([made, generator.statistics().leftOut], [1001, 99_000])
    generator.close()
    assert.equal(bench.inUse(), 0)
  })

  it('ends at its bound', () => {
    const bench = openBench()
    const generator = openGenerator(bench.space, bench.code, bench.worker, 'test', planOf(ONE, { mostPackets: 700 }))
    assert.equal(takePackets(bench, bench.bundle('bound'), generator, 1e6).length, 700)
    assert.equal(generator.dueNs(), Number.POSITIVE_INFINITY)
    const counted = { packets: 700, bytes: 700 * 60, leftOut: 0, stamped: 700, unstamped: {} }
    assert.deepEqual(generator.statistics(), counted)
    generator.close()
  })

  it('waits where the pool has no frame, and goes on with the same number', () => {
    const bench = openBench({ 2048: 300 })
    const generator = openGenerator(bench.space, bench.code, bench.worker, 'test', planOf(ONE))
    const [one, other] = [bench.bundle('one'), bench.bundle('other')]
    assert.deepEqual([generator.make(one, 0), generator.make(other, 0), generator.make(other, 0)], [256, 44, 0])
    bench.empty(one)
    assert.equal(generator.make(one, 0), 256)
    assert.equal(sequenceOf(bench.read(one)[0]!), 300)
    for (const bundle of [one, other]) bench.empty(bundle)
    generator.close()
    assert.equal(bench.inUse(), 0)
  })
})

const sequenceOf = (packet: Uint8Array) => new DataView(packet.buffer, packet.byteOffset).getUint32(48, true)

describe('what is sent', () => {
  it('a mix has its sizes in proportion (chi-square)', (context) => {
    const { seed } = seededRandom(context, 'generator')
    for (const mix of ['imix', 'csit', 'trex', 'rfc2544', '60-79']) {
      const sizes = parseSizes(mix)
      const count = 20_000
      const plan = planOf(frameTemplates(frameSpec({ sizes })), { seed })
      const packets = packetsOf(openBench({ 2048: 512 }, false), plan, count)
      const total = sizes.reduce((sum, { weight }) => sum + weight, 0)
      const chiSquare = sizes.reduce((sum, { bytes, weight }) => {
        const wanted = (count * weight) / total
        return sum + (packets.filter(({ length }) => length === bytes).length - wanted) ** 2 / wanted
      }, 0)
      // Five deviations above the mean of a chi-square, cubed as Wilson and Hilferty do: once in 3 million.
      const freedom = sizes.length - 1
      const limit = freedom * (1 - 2 / (9 * freedom) + 5 * Math.sqrt(2 / (9 * freedom))) ** 3
      assert.ok(chiSquare < limit, `${mix}: ${chiSquare} for ${freedom} degrees of freedom`)
    }
  })

  it('the same seed sends the same, another one something else', () => {
    const templates = frameTemplates(frameSpec({ sizes: parseSizes('imix') }))
    const sent = (seed: number) => packetsOf(openBench(), planOf(templates, { seed }), 100)
    assert.deepEqual(sent(7), sent(7))
    assert.notDeepEqual(sent(7), sent(8))
  })

  it('a packet without fields stays as it is, byte for byte, also where its checksum is wrong', (context) => {
    const random = seededRandom(context, 'generator')
    const captured = Array.from({ length: 50 }, () =>
      Uint8Array.from({ length: 1 + random.below(1600) }, () => random.below(256)),
    )
    const templates = captured.map((bytes) => ({ bytes, fields: [], stampAt: null, weight: 1 }))
    const packets = packetsOf(openBench(), planOf(templates, { isInTurn: true }), 100)
    assert.deepEqual(packets, [...captured, ...captured])
  })
})
