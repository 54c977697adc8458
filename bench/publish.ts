import { type Publish, startWorkers } from '../src/engine/index.js'
import { setAffinity } from '../src/kernel/index.js'
import { BUNDLE_BYTES, createPool, createSpace, loadCode } from '../src/memory/index.js'
import { publishPlan } from './publish-plan.js'
import { printReport } from './report.js'
import { openRounds } from './rounds.js'

/**
 * Descriptors from one thread to another, on two cores: the ring's index
 * published once for a bundle of 64, or for each packet. All else is the same:
 * one call a bundle, and the receiver takes what is there.
 */
const BURST = 64
const PACKETS = 4_000_000
const ROUNDS = 11
const SPIN_US = 500

async function open(publish: Publish) {
  const space = createSpace(16 << 20)
  const code = loadCode(space)
  const pool = createPool(space, code, { 2048: 512 })
  const workers = await startWorkers(publishPlan, space, code, pool, {
    settings: undefined,
    publish,
    placement: { sink: { cpu: other, spinUs: SPIN_US } },
  })
  const bundle = space.reserve({ name: 'bundle', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  workers.pool.take(bundle, BURST)
  const device = workers.to('sink')
  const arrived = () => workers.statistics()[0]!.stages[0]!.packets
  return {
    publish,
    /** Nanoseconds a packet, until the last has arrived. */
    run(packets: number): number {
      const goal = arrived() + packets
      const begin = performance.now()
      for (let sent = 0; sent < packets; sent += BURST) {
        space.words[bundle / 4] = BURST
        // What has no room stays in the bundle, moved to the front: all frames are alike.
        do {
          device.send(bundle)
          device.flush()
        } while (space.words[bundle / 4]! > 0)
      }
      while (arrived() < goal);
      return ((performance.now() - begin) * 1e6) / packets
    },
    close: () => workers.close(),
  }
}

const rounds = await openRounds()
const [own, other] = [rounds.cores[0]!, rounds.cores.at(-1)!]
const ways = [await open('bundle'), await open('packet')]
setAffinity(0, [own])
for (const way of ways) way.run(PACKETS)
const comparison = await rounds.compare(
  ways.map(({ publish, run }) => ({
    name: publish,
    cores: rounds.cores,
    async sample() {
      const nanoseconds = run(PACKETS)
      // The receiver stops spinning before its core is looked at.
      await new Promise((resolve) => setTimeout(resolve, 20))
      return nanoseconds
    },
  })),
  ROUNDS,
)
for (const way of ways) await way.close()
printReport({
  name: 'publish',
  rows: ways.map(({ publish }) => ({ 'one publish a': publish, ...comparison.columns(publish) })),
  ratios: {
    bundleOverPacket: comparison.spreadBeside('packet', (packet, nearest) => packet / nearest('bundle')).median,
  },
  disturbed: rounds.disturbed(),
})
