import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startWorkers } from '../src/engine/index.js'
import { openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { type FloodQueueSettings, floodQueue, SUSPECT_PORT } from './support/flood-queue-worker.js'
import { seededRandom } from './support/random.js'

const SERVICE_PACKETS = 10_000
/** Packets of the service that are under way at once: less than a ring has room for. */
const MOST_UNDER_WAY = 500
const SERVICE_PORT = 80
const NUMBER_AT = 42

const CASES: readonly (readonly [what: string, settings: FloodQueueSettings, mustDrop: string])[] = [
  ['more than its budget', { budget: { packetsPerSecond: 1000, burst: 64 }, toil: 0 }, 'over budget'],
  ['more than its worker bears', { budget: { packetsPerSecond: 1e9, burst: 1e6 }, toil: 1e6 }, 'no room'],
]

describe('a flood queue', () => {
  for (const [what, settings, mustDrop] of CASES) {
    it(`that gets ${what} takes nothing from the service, and each packet is counted where it went`, async (context) => {
      const random = seededRandom(context, 'flood-queue')
      const bench = openBench({ 2048: 8192 })
      const workers = await startWorkers(floodQueue, bench.space, bench.code, bench.pool, { settings })
      const [sent, taken] = [bench.bundle('sent'), bench.bundle('taken')]
      const [front, service, flood] = [workers.to('front'), workers.from('service'), workers.from('flood')]
      let [suspects, trusted, answered, survived] = [0, 0, 0, 0]

      /** A bundle of the flood with a few packets of the service between. */
      const fill = () => {
        const packets = Array.from({ length: 1 + random.below(256) }, () => {
          const isTrusted = random.below(8) === 0 && trusted - answered < MOST_UNDER_WAY && trusted < SERVICE_PACKETS
          return isTrusted ? udp(SERVICE_PORT, trusted++) : udp(SUSPECT_PORT, suspects++)
        })
        assert.equal(bench.fill(sent, packets), packets.length, 'the flood has not emptied the pool')
      }
      const take = () => {
        service.receive(taken, 256)
        for (const packet of bench.read(taken)) assert.equal(numberOf(packet), answered++, 'the service has lost one')
        bench.empty(taken)
        survived += flood.receive(taken, 256)
        bench.empty(taken)
      }
      const dropped = (reason: string) =>
        workers
          .statistics()
          .flatMap(({ stages }) => stages)
          .reduce((sum, { drops }) => sum + (drops[reason] ?? 0), 0)

      try {
        while (answered < SERVICE_PACKETS) {
          if (bench.count(sent) === 0) fill()
          front.send(sent)
          front.flush()
          take()
          if (bench.count(sent) > 0) await new Promise(setImmediate)
        }
        while (bench.count(sent) > 0) {
          front.send(sent)
          front.flush()
          await new Promise(setImmediate)
        }
        await eventually(
          'every packet of the flood is counted',
          () => {
            take()
            return survived + dropped('over budget') + dropped('no room') === suspects
          },
          30_000,
        )
        assert.equal(answered, trusted)
        assert.ok(dropped(mustDrop) > 0)
        context.diagnostic(
          `${trusted} of the service, ${suspects} suspects: ${survived} came through, ` +
            `${dropped('over budget')} over budget, ${dropped('no room')} without room`,
        )
      } finally {
        bench.empty(sent)
        await workers.close()
        bench.worker.close()
      }
      assert.equal(bench.inUse(), 0, 'every frame is back in the pool')
    })
  }
})

/** A UDP packet of 64 bytes to a port, with a number behind its headers. */
function udp(port: number, number: number): Uint8Array {
  const packet = new Uint8Array(64)
  packet.set([8, 0, 0x45, 0, 0, 50], 12)
  packet.set([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 4, 0, 0, port], 22)
  new DataView(packet.buffer).setUint32(NUMBER_AT, number)
  return packet
}

function numberOf(packet: Uint8Array): number {
  return new DataView(packet.buffer).getUint32(NUMBER_AT)
}
