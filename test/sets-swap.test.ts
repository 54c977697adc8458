import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { RULE_COUNTERS, setImage, setMapName } from '../src/codegen/index.js'
import { compileRule } from '../src/compile.js'
import { policySource } from '../src/control/policy-source.js'
import { readStatistics, withNamespace } from '../src/kernel/index.js'
import { openFloodGenerator } from '../src/lab/flood.js'
import { createNetwork, type LabNetwork } from '../src/lab/network.js'
import { attachXdp, loadPolicy, loadProgram, replaceContents, ruleCountReader } from '../src/loader/index.js'
import { count, drop, type PrefixList, policy, type SetContents } from '../src/policy/index.js'
import { eventually } from './support/eventually.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'

const FLOOD_PROCESS = new URL('../src/lab/flood-process.js', import.meta.url)
const CHANGES = 200
const PACKETS_PER_SECOND = 200_000
const MOST_SECONDS = 300
const SET = 'flooders'
/** 198.18.0.0/15, where the flood comes from. */
const FLOODERS = { word: 0xc6120000, length: 15 }
const NONE: PrefixList = { words: new Uint32Array(0), lengths: new Uint8Array(0) }

/** The flooders among `others`, which move everything that the table has of the flooders to another place. */
function floodersAnd(random: Random, others: number): SetContents {
  const words = Uint32Array.from({ length: others + 1 }, (_, index) => (index === 0 ? FLOODERS.word : random.word()))
  const lengths = Uint8Array.from(words, (_, index) => (index === 0 ? FLOODERS.length : 20 + random.below(13)))
  return { v4: { words, lengths }, v6: NONE }
}

/** Frames of the flood that found a place in the victim's ring. */
function reached({ router }: LabNetwork): number {
  return readStatistics(router.towardsVictim.name, router.namespace).get('tx_queue_0_xdp_xmit') ?? 0
}

/** What drops a flood by a set, and how that set is changed. */
interface Defence {
  attach(network: LabNetwork): { close(): void }
  dropped(): number
  /** Makes change `number`, from 1 on. */
  change(number: number): void
  close(): void
}

/** Makes the changes while a flood arrives; then all of it must have been dropped. */
async function changeUnderFlood(context: TestContext, defence: Defence): Promise<void> {
  const network = createNetwork()
  try {
    const generator = await openFloodGenerator(network.spawn(network.router, FLOOD_PROCESS))
    const { device } = network.victim
    const link = defence.attach(network)
    const before = reached(network)
    generator.start({
      spec: {
        kind: 'udp',
        sourceMac: network.router.towardsVictim.mac,
        destinationMac: device.mac,
        destination: device.ipv4,
        port: 9,
        sources: { address: '198.18.0.0', length: 15 },
        bytes: { least: 60, most: 60 },
      },
      interfaceIndex: network.router.towardsVictim.index,
      packetsPerSecond: PACKETS_PER_SECOND,
      seconds: MOST_SECONDS,
    })
    await eventually('the flood arrives', () => defence.dropped() > 0)
    const start = defence.dropped()
    for (let change = 1; change <= CHANGES; change++) defence.change(change)
    const during = defence.dropped() - start
    await generator.stop()
    await eventually('every packet is dropped', () => defence.dropped() === reached(network) - before)
    assert.ok(during > CHANGES, `only ${during} packets came while the set was changed`)
    context.diagnostic(`${during} packets in ${CHANGES} changes`)
    link.close()
    defence.close()
  } finally {
    network.close()
  }
}

describe('a set that is changed under a flood', { skip: skipUnless('root') }, () => {
  it(`has what all of its ${CHANGES} contents have, at every moment`, async (context) => {
    const random = seededRandom(context, 'sets-swap')
    const versions = [30_000, 0, 5000, 20].map((others) => floodersAnd(random, others))
    const images = versions.map((contents) => setImage(contents, 4))
    const rule = { match: `ip src net @${SET}`, action: 'drop' } as const
    const setContents = new Map([[SET, versions[0]!]])
    const loaded = loadProgram(compileRule(rule, { sets: new Set([SET]), setContents }).program)
    await changeUnderFlood(context, {
      attach: ({ victim }) => withNamespace(victim.namespace, () => attachXdp(loaded, victim.device, 'native')),
      dropped: () => ruleCountReader(loaded.maps.get(RULE_COUNTERS)!)()[0]!.packets,
      change: (number) => replaceContents(loaded.maps.get(setMapName(SET, 4))!, images[number % images.length]!),
      close: () => loaded.close(),
    })
  })

  it('is changed in a policy in force: in its place, or with the program where it grows', async (context) => {
    const random = seededRandom(context, 'sets-swap')
    const versions = [20, 0, 5000, 30_000].map((others) => floodersAnd(random, others))
    const value = policy(
      { sets: { [SET]: ['198.18.0.0/15'], unused: [] } },
      count('udp', { name: 'seen' }),
      drop(`src net @${SET}`, { name: 'dropped' }),
    )
    const sets = new Map([[SET, versions[0]!]])
    const loaded = loadPolicy(policySource(value, { sets, interfaceIndex: () => 1 }))
    const programs = new Set([loaded.program.info.id])
    await changeUnderFlood(context, {
      attach: ({ victim }) => withNamespace(victim.namespace, () => loaded.attach(victim.device, 'native')),
      dropped: () => loaded.counts()[1]!.packets,
      change(number) {
        loaded.replaceSet(SET, versions[number % versions.length]!)
        programs.add(loaded.program.info.id)
      },
      close() {
        const [seen, dropped] = loaded.counts()
        assert.deepEqual(seen, dropped, 'no rule lost a count')
        loaded.close()
      },
    })
    assert.equal(programs.size, 2, 'the first of 30,000 needed larger maps, and nothing else did')
  })
})
