import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { openQueueBench } from '../../test/support/queue-bench.js'
import { seededRandom } from '../../test/support/random.js'
import { createLink, openFault } from '../device/index.js'
import { fifo, openQueue } from './index.js'
import { openQueueMemory } from './queue-memory.js'

const MOST = 2 ** 24

/** Dynamic queue limits (lib/dynamic_queue_limits.c), plainly, with numbers that do not wrap. */
function plainLimit() {
  let [limit, given, done, givenBefore, overBefore, last, lastBefore] = [0, 0, 0, 0, 0, 0, 0]
  let [slack, slackSince] = [Number.POSITIVE_INFINITY, 0]
  const beyond = (one: number, other: number) => Math.max(0, one - other)
  return {
    limit: () => limit,
    room: () => limit + done - given,
    given(bytes: number) {
      given += bytes
      last = bytes
    },
    done(bytes: number, nowMs: number) {
      const before = done
      done += bytes
      let over = beyond(given - before, limit)
      let next = limit
      const isStarved = (over > 0 && given === done) || (overBefore > 0 && done >= givenBefore)
      if (isStarved) {
        next = limit + beyond(done, givenBefore) + overBefore
        ;[slack, slackSince] = [Number.POSITIVE_INFINITY, nowMs]
      } else if (given !== done && givenBefore !== before && done < givenBefore) {
        const ofLast = overBefore > 0 ? beyond(lastBefore, overBefore) : 0
        slack = Math.min(slack, Math.max(beyond(limit + overBefore, 2 * bytes), ofLast))
        if (nowMs > slackSince + 1000) {
          next = beyond(limit, slack)
          ;[slack, slackSince] = [Number.POSITIVE_INFINITY, nowMs]
        }
      }
      if (next !== limit) over = 0
      ;[limit, givenBefore, overBefore, lastBefore] = [Math.min(next, MOST), given, over, last]
    },
  }
}

describe('the byte limit', () => {
  it('moves as dynamic queue limits, written plainly, on random traffic', (context) => {
    const random = seededRandom(context, 'byte-limit')
    const bench = openBench({ 2048: 64 })
    const { space, code, worker } = bench
    for (let turn = 0; turn < 20; turn++) {
      const limit = { isOn: true, least: 0, most: MOST }
      const queue = openQueueMemory(space, code, worker, 'queue', fifo(), limit)
      const twin = plainLimit()
      const bundle = bench.bundle(`turn ${turn}`)
      const [mostBytes, mostPackets] = [60 + random.below(9000), 1 + random.below(40)]
      const flying: number[] = []
      for (let [step, ms] = [0, 1000]; step < 5000; step++, ms += random.below(30)) {
        const lengths: number[] = []
        let room = twin.room()
        for (; room >= 0 && lengths.length < random.below(mostPackets); room -= lengths.at(-1)!)
          lengths.push(60 + random.below(mostBytes))
        space.words[bundle / 4] = lengths.length
        lengths.forEach((length, index) => {
          space.words[(bundle + 16 + index * 16 + 4) / 4] = length
        })
        assert.equal(queue.allowed(bundle), lengths.length)
        queue.offer(bundle)
        queue.given(lengths.length)
        for (const length of lengths) twin.given(length)
        flying.push(...lengths)
        const finished = flying.splice(0, random.below(flying.length + 1))
        queue.done(flying.length, ms * 1000)
        if (finished.length > 0)
          twin.done(
            finished.reduce((sum, length) => sum + length, 0),
            ms,
          )
        assert.equal(queue.limitBytes(), twin.limit())
      }
      queue.close()
    }
  })

  it('finds as much as a device needs from one look to the next, and no more', () => {
    const bench = openQueueBench({ discipline: fifo({ packets: 3000 }) }, 4096)
    const { queue, clock } = bench
    const packets = Array.from({ length: 20 }, () => new Uint8Array(1000))
    let [received, most] = [0, 0]
    for (let ms = 0; ms < 6000; ms++, clock.ms++) {
      if (queue.queued().packets < 1000) bench.send(packets)
      queue.flush()
      most = ms < 4000 ? 0 : Math.max(most, queue.pending!())
      // The device finishes with ten packets a millisecond.
      if (ms >= 1000) received += bench.arrived(10).length
      else bench.arrived(10)
    }
    assert.equal(received, 50_000, 'the device never had too little')
    const { byteLimit } = queue.queued()
    assert.ok(byteLimit! >= 9000 && byteLimit! <= 30_000, `${byteLimit} bytes, where it needs 10,000`)
    assert.ok(most <= 31, `${most} packets in the device, which could hold 4096`)
    assert.equal(bench.close(), 0)
  })

  it('is none where the device does not tell what it has finished, and the queue says so', () => {
    const { space, code, worker } = openBench()
    const [near, far] = createLink(space, code, worker, 'link')
    const queue = openQueue(space, code, worker, openFault(space, code, worker, near, { seed: 1 }))
    assert.equal(queue.queued().byteLimit, null)
    assert.deepEqual(queue.notes, ['link a does not tell what it has finished, so there is no byte limit'])
    queue.close()
    far.close()
  })
})
