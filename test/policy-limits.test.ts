import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { policySource } from '../src/control/policy-source.js'
import { prepareTestRun } from '../src/kernel/index.js'
import { loadPolicy } from '../src/loader/index.js'
import { limit, policy, type Rule } from '../src/policy/index.js'
import { skipUnless } from './support/require.js'

const SECONDS = 10
const SOURCES = 100_000
const PASS = 2
/** Keys that are limited one by one at several times their rate, a second's burst each. */
const KEYS = 20
const KEY_RATE = 500
const KEY_SECONDS = 1.5
const FRAME_BYTES = 100
/** A source's offset in an Ethernet frame with IPv4. */
const SOURCE_AT = 26

function load(entries: number, rule: Rule) {
  const value = policy({ tables: { limits: { entries, whenFull: 'share' } } }, rule)
  return loadPolicy(policySource(value, { sets: new Map(), interfaceIndex: () => 1 }))
}

/** Plain buckets, one a source, on the clock of this process: what the kernel's have to come to. */
function plainBuckets(perSecond: number, burst: number) {
  const credit = new Float64Array(SOURCES).fill(burst)
  const seenMs = new Float64Array(SOURCES)
  const passed = new Uint32Array(SOURCES)
  return {
    passed,
    offer(source: number, nowMs: number) {
      const grown = credit[source]! + ((nowMs - seenMs[source]!) * perSecond) / 1000
      credit[source] = Math.min(burst, grown)
      seenMs[source] = nowMs
      if (credit[source]! < 1) return
      credit[source]! -= 1
      passed[source]!++
    },
  }
}

describe('limits by the kernel’s clock', { skip: skipUnless('root') }, () => {
  it(`hold ${SOURCES} sources at once, each to its own rate`, (context) => {
    const [rate, burst] = [1, 2]
    const loaded = load(2 ** 19, limit('ip', { name: 'each', per: 'source', rate: `${rate} pps`, burst }))
    const frame = new Uint8Array(60)
    frame.set([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17], 12)
    const view = new DataView(frame.buffer)
    const run = prepareTestRun({ fd: loaded.program.fd, data: frame })
    const plain = plainBuckets(rate, burst)
    const passed = new Uint32Array(SOURCES)
    const furthestMs = new Float64Array(SOURCES)
    const start = performance.now()
    let [rounds, now] = [0, start]
    for (; performance.now() - start < SECONDS * 1000; rounds++) {
      for (let source = 0; source < SOURCES; source++) {
        const before = now
        view.setUint32(SOURCE_AT, 0x0a000000 + source)
        if (run() === PASS) passed[source]!++
        now = performance.now()
        plain.offer(source, now)
        furthestMs[source] = Math.max(furthestMs[source]!, now - before)
      }
    }
    const { packets, overPackets } = loaded.counts()[0]!
    const { tableFull } = loaded.losses()
    loaded.close()
    const total = passed.reduce((sum, count) => sum + count, 0)
    const allowed = SOURCES * (burst + rate * SECONDS)
    context.diagnostic(`${rounds} packets from each; ${total} passed, burst + rate x time is ${allowed}`)
    assert.equal(tableFull, 0)
    assert.deepEqual([packets, packets - overPackets], [rounds * SOURCES, total])
    // The two clocks are read at some distance, so a token may fall on either side of a packet; more of them where it is long.
    const off = passed.findIndex(
      (count, source) => Math.abs(count - plain.passed[source]!) > 1 + (rate * furthestMs[source]!) / 1000,
    )
    assert.equal(off, -1, `source ${off}: ${passed[off]} passed, ${plain.passed[off]} were to`)
  })

  for (const [per, options, key] of [
    ['source', {}, SOURCE_AT],
    ['source-prefix', { prefix: { v4: 24, v6: 64 } }, SOURCE_AT],
    ['destination', {}, SOURCE_AT + 4],
    ['flow', {}, SOURCE_AT + 8],
  ] as const) {
    for (const unit of ['packets', 'bytes'] as const) {
      it(`hold ${unit} by ${per} at several times the limit`, (context) => {
        const rate = unit === 'packets' ? KEY_RATE : KEY_RATE * FRAME_BYTES
        const written = unit === 'packets' ? `${rate} pps` : `${rate} B/s`
        const rule = limit('udp', { name: 'each', per, ...options, rate: written, burst: rate })
        const loaded = load(4096, rule)
        const frame = new Uint8Array(FRAME_BYTES)
        frame.set([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17], 12)
        const view = new DataView(frame.buffer)
        const run = prepareTestRun({ fd: loaded.program.fd, data: frame })
        const passed = new Uint32Array(KEYS)
        const plain = plainBuckets(KEY_RATE, KEY_RATE)
        /** Between a packet and the reading of our own clock for it; the kernel's is read in between. */
        const furthestMs = new Float64Array(KEYS)
        const start = performance.now()
        let rounds = 0
        for (; performance.now() - start < KEY_SECONDS * 1000; rounds++) {
          for (let index = 0; index < KEYS; index++) {
            // Of a prefix every packet has another address.
            view.setUint32(key, 0x0a000000 + index * 256 + (per === 'source-prefix' ? rounds & 255 : 1))
            const before = performance.now()
            if (run() === PASS) passed[index]!++
            const now = performance.now()
            plain.offer(index, now)
            furthestMs[index] = Math.max(furthestMs[index]!, now - before)
          }
        }
        loaded.close()
        const times = rounds / (KEY_RATE * KEY_SECONDS)
        context.diagnostic(`${times.toFixed(1)} times the limit; ${passed[0]} passed, ${plain.passed[0]} were to`)
        assert.ok(times > 1.5, 'more is offered than the limit')
        // Where this thread had to wait for a core in between, so many tokens may fall on either side.
        const off = passed.findIndex(
          (count, index) => Math.abs(count - plain.passed[index]!) > 1 + (KEY_RATE * furthestMs[index]!) / 1000,
        )
        assert.equal(off, -1, `key ${off}: ${passed[off]} passed, ${plain.passed[off]} were to`)
      })
    }
  }
})
