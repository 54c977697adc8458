import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type PrefixList, RULE_COUNTERS, type SetContents, setImage, setMapName } from '../src/codegen/index.js'
import { compileRule } from '../src/compile.js'
import { readStatistics, withNamespace } from '../src/kernel/index.js'
import { openFloodGenerator } from '../src/lab/flood.js'
import { createNetwork, type LabNetwork } from '../src/lab/network.js'
import { attachXdp, loadProgram, replaceContents, ruleCountReader } from '../src/loader/index.js'
import { eventually } from './support/eventually.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'

const FLOOD_PROCESS = new URL('../src/lab/flood-process.js', import.meta.url)
const CHANGES = 200
const PACKETS_PER_SECOND = 200_000
const MOST_SECONDS = 60
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

describe('a set that is changed under a flood', { skip: skipUnless('root') }, () => {
  it(`has what all of its ${CHANGES} contents have, at every moment`, async (context) => {
    const random = seededRandom(context, 'sets-swap')
    const versions = [30_000, 0, 5000, 20].map((others) => floodersAnd(random, others))
    const network = createNetwork()
    try {
      const generator = await openFloodGenerator(network.spawn(network.router, FLOOD_PROCESS))
      const rule = { match: `ip src net @${SET}`, action: 'drop' } as const
      const setContents = new Map([[SET, versions[0]!]])
      const loaded = loadProgram(compileRule(rule, { sets: new Set([SET]), setContents }).program)
      const dropped = () => ruleCountReader(loaded.maps.get(RULE_COUNTERS)!)()[0]!.packets
      const { device, namespace } = network.victim
      const link = withNamespace(namespace, () => attachXdp(loaded, device, 'native'))
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
      await eventually('the flood arrives', () => dropped() > 0)
      const images = versions.map((contents) => setImage(contents, 4))
      const start = dropped()
      for (let change = 1; change <= CHANGES; change++) {
        replaceContents(loaded.maps.get(setMapName(SET, 4))!, images[change % images.length]!)
      }
      const during = dropped() - start
      await generator.stop()
      await eventually('every packet is dropped', () => dropped() === reached(network) - before)
      assert.ok(during > CHANGES, `only ${during} packets came while the set was changed`)
      context.diagnostic(`${during} packets in ${CHANGES} changes`)
      link.close()
      loaded.close()
    } finally {
      network.close()
    }
  })
})
