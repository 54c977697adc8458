import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { policySource } from '../src/control/policy-source.js'
import { prepareTestRun, readStatistics, withNamespace } from '../src/kernel/index.js'
import { openFloodGenerator } from '../src/lab/flood.js'
import type { FloodSpec } from '../src/lab/flood-frame.js'
import { createNetwork, type LabNetwork } from '../src/lab/network.js'
import { loadPolicy } from '../src/loader/index.js'
import { drop, limit, policy, type Rule } from '../src/policy/index.js'
import { eventually } from './support/eventually.js'
import { skipUnless } from './support/require.js'

const FLOOD_PROCESS = new URL('../src/lab/flood-process.js', import.meta.url)
const SECONDS = 10
const SOURCES = 100_000
const PASS = 2
/** Packets a second of the flood, and how many sources they are drawn from. */
const OFFERED = 400_000
const SOURCE_BITS = 15
const FLOOD_SOURCES = 2 ** SOURCE_BITS
/** The burst is half a second's, so that the limit outlasts the moments in which the generator stands still. */
const RULE_RATE = 50_000
const RULE_BURST = RULE_RATE / 2
/** Keys that are limited one by one at several times their rate, a second's burst each. */
const KEYS = 100
const KEY_RATE = 500
const KEY_SECONDS = 1.5
const FRAME_BYTES = 100
/** A source's offset in an Ethernet frame with IPv4. */
const SOURCE_AT = 26

function floodOf({ router, victim }: LabNetwork): FloodSpec {
  return {
    kind: 'udp',
    sourceMac: router.towardsVictim.mac,
    destinationMac: victim.device.mac,
    destination: victim.device.ipv4,
    port: 9,
    sources: { address: '198.18.0.0', length: 32 - SOURCE_BITS },
    bytes: { least: 60, most: 60 },
  }
}

function load(entries: number, ...rules: readonly Rule[]) {
  const value = policy({ tables: { limits: { entries, whenFull: 'share' } } }, ...rules)
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
    const start = performance.now()
    let rounds = 0
    for (; performance.now() - start < SECONDS * 1000; rounds++) {
      for (let source = 0; source < SOURCES; source++) {
        view.setUint32(SOURCE_AT, 0x0a000000 + source)
        if (run() === PASS) passed[source]!++
        plain.offer(source, performance.now())
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
    // The two clocks are read at some distance, so a token may fall on either side of a packet.
    const off = passed.findIndex((count, source) => Math.abs(count - plain.passed[source]!) > 1)
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
        const start = performance.now()
        let rounds = 0
        for (; performance.now() - start < KEY_SECONDS * 1000; rounds++) {
          for (let index = 0; index < KEYS; index++) {
            // Of a prefix every packet has another address.
            view.setUint32(key, 0x0a000000 + index * 256 + (per === 'source-prefix' ? rounds & 255 : 1))
            if (run() === PASS) passed[index]!++
            plain.offer(index, performance.now())
          }
        }
        loaded.close()
        const times = rounds / (KEY_RATE * KEY_SECONDS)
        context.diagnostic(`${times.toFixed(1)} times the limit; ${passed[0]} passed, ${plain.passed[0]} were to`)
        assert.ok(times > 1.5, 'more is offered than the limit')
        const off = passed.findIndex((count, index) => Math.abs(count - plain.passed[index]!) > 1)
        assert.equal(off, -1, `key ${off}: ${passed[off]} passed, ${plain.passed[off]} were to`)
      })
    }
  }

  it('let through burst + rate x time of a real flood, by rule and by source', async (context) => {
    const network = createNetwork()
    try {
      const generator = await openFloodGenerator(network.spawn(network.router, FLOOD_PROCESS))
      const all = limit('udp', {
        name: 'all',
        mode: 'shadow',
        per: 'rule',
        rate: `${RULE_RATE} pps`,
        burst: RULE_BURST,
      })
      const each = limit('udp', { name: 'each', per: 'source', rate: '2 pps', burst: 4 })
      const loaded = load(2 ** 19, all, each, drop('udp', { name: 'never' }))
      const { device, namespace } = network.victim
      const link = withNamespace(namespace, () => loaded.attach(device, 'native'))
      generator.start({
        spec: floodOf(network),
        interfaceIndex: network.router.towardsVictim.index,
        packetsPerSecond: OFFERED,
        seconds: SECONDS,
      })
      await sleep(SECONDS * 1000 + 500)
      const { elapsedMs } = await generator.stop()
      const reached = readStatistics(network.router.towardsVictim.name, network.router.namespace)
      const arrived = reached.get('tx_queue_0_xdp_xmit') ?? 0
      await eventually('the last packets are counted', () => loaded.counts()[1]!.packets === arrived)
      const [byRule, bySource] = loaded.counts().map(({ packets, overPackets }) => packets - overPackets)
      const losses = loaded.losses()
      link.close()
      loaded.close()
      const seconds = elapsedMs / 1000
      const wanted = RULE_BURST + RULE_RATE * seconds
      const most = FLOOD_SOURCES * (4 + 2 * seconds)
      context.diagnostic(`${arrived} in ${seconds.toFixed(2)} s; by rule ${byRule} of ${wanted.toFixed(0)}`)
      context.diagnostic(`by source ${bySource} of at most ${most.toFixed(0)}; table full: ${losses.tableFull}`)
      assert.ok(arrived > 1.5 * wanted, 'the flood is above the limit')
      assert.ok(Math.abs(byRule! - wanted) <= 0.02 * wanted, `${byRule} of ${wanted}`)
      // A source sends when the generator draws it, so a token of each waits for its next packet.
      assert.ok(bySource! <= most && bySource! > 0.9 * most, `${bySource} of ${most}`)
      assert.deepEqual(losses, { samples: 0, tableFull: 0 })
    } finally {
      network.close()
    }
  })
})
