import { loadCode } from '../src/memory/index.js'
import { printReport } from './report.js'
import { openRounds } from './rounds.js'
import { openSmallDevice, PROFILES, type Profile } from './small-device-rig.js'
import { loadTracedCode } from './traced-code.js'

/**
 * The three steps of the small device (netdev 1.1, 2016: 268, 360, 400 Mbit/s):
 * a router with connection tracking and hooks that have listeners nobody reads;
 * with the route cache; without the hooks. In turn in one run, in memory; what
 * the rig itself costs is measured in the same turns and taken off. Cache lines
 * a packet come from an instrumented run of the same code: of the stages in
 * AssemblyScript, in bundles of 64 and one by one. The compiled rule at forward
 * and the engine's TypeScript are not counted.
 */
const ROUNDS = 31
const PACKETS = 200_000
/** As many as there are packets, so that bundles of one meet each of them, before and while lines are counted. */
const LINE_ROUNDS = 64

const device = openSmallDevice((space) => loadCode(space))

function time(profile: Profile, packets: number): number {
  const engine = device.engines[profile]
  const begin = performance.now()
  for (let done = 0; done < packets; ) done += engine.round()
  return ((performance.now() - begin) * 1e6) / packets
}

for (const profile of PROFILES) time(profile, PACKETS)
const rounds = await openRounds()
const contestants = PROFILES.map((profile) => ({ name: profile, sample: () => time(profile, PACKETS) }))
const comparison = await rounds.compare(contestants, ROUNDS)

/** Distinct cache lines that the stages touch: of a bundle, divided by its packets. */
function linesOf(bundle: number): Record<Profile, number> {
  let taken = (): number => 0
  const { engines } = openSmallDevice((space) => {
    const traced = loadTracedCode(space)
    taken = traced.taken
    return traced.code
  }, bundle)
  const entries = PROFILES.map((profile) => {
    const engine = engines[profile]
    for (let round = 0; round < LINE_ROUNDS; round++) engine.round()
    taken()
    let lines = 0
    for (let round = 0; round < LINE_ROUNDS; round++) {
      engine.round()
      lines += taken()
    }
    return [profile, lines / LINE_ROUNDS / bundle] as const
  })
  return Object.fromEntries(entries) as Record<Profile, number>
}

const [linesInBundles, linesAlone] = [linesOf(64), linesOf(1)]

/** Sample by sample with its neighbours, without the rig. */
const netRatio = (slower: Profile, faster: Profile) =>
  comparison.spreadBeside(slower, (own, nearest) => {
    const rig = nearest('rig alone')
    return (own - rig) / (nearest(faster) - rig)
  }).median

printReport({
  name: 'small-device',
  rows: PROFILES.map((profile) => ({
    profile,
    ...comparison.columns(profile),
    linesPerPacket: linesInBundles[profile],
    linesPerPacketAlone: linesAlone[profile],
  })),
  ratios: { routeCache: netRatio('base', 'route cache'), hooksRemoved: netRatio('route cache', 'hooks removed') },
  disturbed: rounds.disturbed(),
})
