import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { policySource } from '../src/control/policy-source.js'
import { readStatistics, withNamespace } from '../src/kernel/index.js'
import { openFloodGenerator } from '../src/lab/flood.js'
import type { FloodSpec } from '../src/lab/flood-frame.js'
import { createNetwork, type LabNetwork } from '../src/lab/network.js'
import { loadPolicy } from '../src/loader/index.js'
import { count, drop, limit, policy, type Rule } from '../src/policy/index.js'
import { eventually } from './support/eventually.js'
import { skipUnless } from './support/require.js'

const FLOOD_PROCESS = new URL('../src/lab/flood-process.js', import.meta.url)
const SWAPS = 1000
const PACKETS_PER_SECOND = 200_000
/** Longer than the swaps take: an idle machine, whose core the flood need not share, takes the longest. */
const MOST_SECONDS = 300

/** Frames of the flood that found a place in the victim's ring. */
function reached({ router }: LabNetwork): number {
  return readStatistics(router.towardsVictim.name, router.namespace).get('tx_queue_0_xdp_xmit') ?? 0
}

/** IPv4 packets that came through to the victim's network stack. */
function receivedByStack({ victim }: LabNetwork): number {
  const text = withNamespace(victim.namespace, () => readFileSync('/proc/thread-self/net/snmp', 'utf8'))
  const [names, values] = text.split('\n').map((line) => line.split(' '))
  return Number(values![names!.indexOf('InReceives')])
}

function floodOf({ router, victim }: LabNetwork): FloodSpec {
  return {
    kind: 'udp',
    sourceMac: router.towardsVictim.mac,
    destinationMac: victim.device.mac,
    destination: victim.device.ipv4,
    port: 9,
    sources: { address: '198.18.0.0', length: 15 },
    bytes: { least: 60, most: 60 },
  }
}

function sourceOf(...rules: readonly Rule[]) {
  return policySource(policy(...rules), { sets: new Map(), interfaceIndex: () => 1 })
}

describe('a policy that is swapped under a flood', { skip: skipUnless('root') }, () => {
  it(`lets no packet through unfiltered in ${SWAPS} swaps, and loses no count`, async (context) => {
    const network = createNetwork()
    try {
      const generator = await openFloodGenerator(network.spawn(network.router, FLOOD_PROCESS))
      const counted = count('src net 198.18.0.0/15', { name: 'counted' })
      const flood = drop('src net 198.18.0.0/15', { name: 'flood' })
      const versions = [
        sourceOf(counted, flood),
        sourceOf(drop('tcp', { name: 'first now' }), flood, counted),
        sourceOf(limit('icmp', { per: 'source', rate: '5 pps' }), counted, drop('port 7'), flood),
      ]
      const loaded = loadPolicy(versions[0]!)
      const { device, namespace } = network.victim
      const link = withNamespace(namespace, () => loaded.attach(device, 'native'))
      const [stackBefore, reachedBefore] = [receivedByStack(network), reached(network)]

      generator.start({
        spec: floodOf(network),
        interfaceIndex: network.router.towardsVictim.index,
        packetsPerSecond: PACKETS_PER_SECOND,
        seconds: MOST_SECONDS,
      })
      await eventually('the flood arrives', () => loaded.counts()[1]!.packets > 0)
      const programs = new Set<number>()
      let [swapsUnderFlood, reachedSoFar] = [0, reached(network)]
      const start = performance.now()
      for (let swap = 1; swap <= SWAPS; swap++) {
        loaded.replace(versions[swap % versions.length]!)
        programs.add(loaded.program.info.id)
        const now = reached(network)
        if (now > reachedSoFar) swapsUnderFlood++
        reachedSoFar = now
      }
      const elapsedMs = performance.now() - start
      loaded.replace(versions[0]!)
      const { sent } = await generator.stop()
      const arrived = () => reached(network) - reachedBefore
      // Every other version puts the two rules the other way round, and then `counted` stands behind the drop.
      await eventually('the last packets are dropped', () => loaded.counts()[1]!.packets === arrived())
      assert.equal(receivedByStack(network) - stackBefore, 0, 'nothing came through')
      assert.equal(programs.size, SWAPS)
      assert.ok(swapsUnderFlood > SWAPS / 4, `packets came in ${swapsUnderFlood} of ${SWAPS} swaps`)
      assert.ok(sent > PACKETS_PER_SECOND / 10 && loaded.counts()[0]!.packets > 0)
      context.diagnostic(
        `${arrived()} packets in ${swapsUnderFlood} of ${SWAPS} swaps of ${(elapsedMs / SWAPS).toFixed(1)} ms`,
      )
      link.close()
      loaded.close()
    } finally {
      network.close()
    }
  })
})
