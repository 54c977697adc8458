import assert from 'node:assert/strict'
import { it } from 'node:test'
import { stageRates } from './rates.js'

/** A stage that has taken bundles of 4, each of them in so many nanoseconds a packet. */
function stage(packets: number, watchedPackets: number, watchedMs: number) {
  return {
    name: 'count',
    packets,
    bundles: packets / 4,
    packetsPerBundle: 4,
    drops: { late: packets / 8 },
    watched: { packets: watchedPackets, ms: watchedMs },
    nanosecondsPerPacket: watchedPackets === 0 ? null : (watchedMs * 1e6) / watchedPackets,
  }
}

const engine = (...each: Parameters<typeof stage>) => [{ name: 'one', stages: [stage(...each)] }]

it('the time of a packet is that of those between two looks', () => {
  const [slow] = stageRates(engine(800, 0, 0), engine(1600, 800, 0.8), 2)
  assert.deepEqual(
    [slow!.packetsPerSecond, slow!.packetsPerBundle, slow!.dropsPerSecond, slow!.nanosecondsPerPacket],
    [400, 4, { late: 50 }, 1000],
  )
  const [fast] = stageRates(engine(1600, 800, 0.8), engine(2400, 1600, 0.88), 2)
  assert.equal(Math.round(fast!.nanosecondsPerPacket!), 100)
  const [idle] = stageRates(engine(2400, 1600, 0.88), engine(2400, 1600, 0.88), 2)
  assert.equal(idle!.nanosecondsPerPacket, null)
})
