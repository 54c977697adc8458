import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { policySource } from '../src/control/policy-source.js'
import { readStatistics, withNamespace } from '../src/kernel/index.js'
import { openFloodGenerator } from '../src/lab/flood.js'
import type { FloodSpec } from '../src/lab/flood-frame.js'
import { createNetwork, type LabNetwork } from '../src/lab/network.js'
import { loadPolicy } from '../src/loader/index.js'
import { drop, limit, policy } from '../src/policy/index.js'
import { eventually } from './support/eventually.js'
import { skipUnless } from './support/require.js'

const FLOOD_PROCESS = new URL('../src/lab/flood-process.js', import.meta.url)
const SECONDS = 10
/** Packets a second of the flood, and how many sources they are drawn from. */
const OFFERED = 400_000
const SOURCE_BITS = 15
const FLOOD_SOURCES = 2 ** SOURCE_BITS
/** The bursts are five seconds', so that the limits outlast the moments in which the generator stands still. */
const BURST_SECONDS = 5
const RULE_RATE = 50_000
const RULE_BURST = BURST_SECONDS * RULE_RATE
const SOURCE_RATE = 2
const SOURCE_BURST = BURST_SECONDS * SOURCE_RATE

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

describe('limits by the kernel’s clock, of live frames', { skip: skipUnless('root') }, () => {
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
      const each = limit('udp', { name: 'each', per: 'source', rate: `${SOURCE_RATE} pps`, burst: SOURCE_BURST })
      const tables = { limits: { entries: 2 ** 19, whenFull: 'share' } } as const
      const value = policy({ tables }, all, each, drop('udp', { name: 'never' }))
      const loaded = loadPolicy(policySource(value, { sets: new Map(), interfaceIndex: () => 1 }))
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
      const most = FLOOD_SOURCES * (SOURCE_BURST + SOURCE_RATE * seconds)
      context.diagnostic(`${arrived} in ${seconds.toFixed(2)} s; by rule ${byRule} of ${wanted.toFixed(0)}`)
      context.diagnostic(`by source ${bySource} of at most ${most.toFixed(0)}; table full: ${losses.tableFull}`)
      const isFlood = arrived > Math.max(1.5 * wanted, 3 * most)
      if (!isFlood) context.diagnostic('too busy a machine: only that nobody had more than the limit is asked')
      assert.ok(byRule! <= 1.02 * wanted && (!isFlood || byRule! >= 0.98 * wanted), `${byRule} of ${wanted}`)
      // A source sends when the generator draws it, so a token of each waits for its next packet.
      assert.ok(bySource! <= most && (!isFlood || bySource! > 0.9 * most), `${bySource} of ${most}`)
      assert.deepEqual(losses, { samples: 0, tableFull: 0, withoutSocket: 0 })
    } finally {
      network.close()
    }
  })
})
