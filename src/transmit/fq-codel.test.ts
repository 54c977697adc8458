import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { flowFrame } from '../../test/support/flow-packet.js'
import { type PlainPacket, plainFqCodel } from '../../test/support/plain-fq-codel.js'
import { openQueueBench } from '../../test/support/queue-bench.js'
import { seededRandom } from '../../test/support/random.js'
import { addWords, flowHash, foldChecksum } from '../wire/index.js'
import { type Discipline, fifo, fqCodel, tokenBucket } from './index.js'
import { openQueueMemory } from './queue-memory.js'

const FLOWS = 1024
const ETHERNET_BYTES = 14

/** A datagram that carries its number in its payload's first bytes. */
function frameOf(id: number, flow: number, bytes: number, ecn: number, family: 4 | 6 = 4): Uint8Array {
  const payload = new Uint8Array(Math.max(4, bytes - ETHERNET_BYTES - (family === 4 ? 20 : 40) - 8))
  new DataView(payload.buffer).setUint32(0, id)
  return flowFrame({ family, protocol: 'udp', flow, service: ecn, payload })
}

const payloadAt = (frame: Uint8Array) => ETHERNET_BYTES + (frame[12] === 0x08 ? 20 : 40) + 8
const idOf = (frame: Uint8Array) => new DataView(frame.buffer, frame.byteOffset).getUint32(payloadAt(frame))
const ecnOf = (frame: Uint8Array) => (frame[12] === 0x08 ? frame[15]! & 3 : (frame[15]! >> 4) & 3)
const queueOf = (frame: Uint8Array) => Math.floor((flowHash(frame) / 2 ** 32) * FLOWS)

describe('FQ-CoDel', () => {
  it('drops, marks and lets out what the algorithm of RFC 8290 and 8289 does, written plainly', (context) => {
    const random = seededRandom(context, 'fq-codel')
    const met = { codel: 0, full: 0 }
    for (let turn = 0; turn < 12; turn++) {
      const options = {
        packets: random.pick([50, 300, 2000]),
        quantumBytes: random.pick([300, 1514]),
        targetMs: random.pick([1, 5]),
        intervalMs: random.pick([20, 100]),
        marksEcn: random.below(2) === 0,
      }
      const bench = openBench({ 2048: 2100 })
      const { space, code, worker } = bench
      const noLimit = { isOn: false, least: 0, most: 0 }
      const queue = openQueueMemory(space, code, worker, 'queue', fqCodel({ flows: FLOWS, ...options }), noLimit)
      const twin = plainFqCodel(options)
      const bundle = bench.bundle('sent')
      const flows = 1 + random.below(8)
      for (let [step, id, ms] = [0, 0, 1000]; step < 3000; step++, ms += random.below(4) / 2) {
        for (let left = random.below(4) === 0 ? random.below(6) : 0; left > 0; left--, id++) {
          const frame = frameOf(id, random.below(flows), 60 + random.below(1400), random.below(4), random.pick([4, 6]))
          bench.fill(bundle, [frame])
          queue.take(bundle, ms * 1000)
          twin.put(plainOf(frame, id, ms))
        }
        if (random.below(3) > 0) continue
        const wanted = twin.take(ms)
        assert.equal(queue.run(1, ms * 1000), wanted === null ? 0 : 1)
        const [frame] = bench.read(queue.out)
        if (frame !== undefined) assert.deepEqual([idOf(frame), ecnOf(frame)], [wanted!.id, wanted!.ecn])
        bench.empty(queue.out)
      }
      const { codel, 'queue full': full } = queue.drops()
      assert.deepEqual({ codel, full }, { codel: twin.drops.codel.length, full: twin.drops.full.length })
      met.codel += codel!
      met.full += full!
      queue.close()
      assert.equal(bench.inUse(), 0)
    }
    assert.ok(met.codel > 0 && met.full > 0)
  })

  it('lets a sparse flow wait less than 10 ms beside a bulk flow at 10 Mbit/s, and a plain queue does not', (context) => {
    const sparse = (inner: Discipline) => delaysOf(tokenBucket({ bitsPerSecond: 10e6 }, inner))
    const fair = sparse(fqCodel())
    const plain = sparse(fifo({ packets: 1000 }))
    context.diagnostic(
      `p99 of the sparse flow: ${fair.p99Ms.toFixed(1)} ms; behind a FIFO ${plain.p99Ms.toFixed(0)} ms`,
    )
    assert.ok(fair.p99Ms < 10, `${fair.p99Ms} ms`)
    assert.ok(plain.p99Ms > 500, `${plain.p99Ms} ms`)
    for (const { bits } of [fair, plain]) assert.ok(Math.abs(bits / 10e6 / SECONDS - 1) < 0.01, `${bits} bits`)
  })

  it('marks those who can hear it, with a right checksum, and drops none of them', () => {
    for (const family of [4, 6] as const) {
      const discipline = tokenBucket({ bitsPerSecond: 1e6 }, fqCodel({ marksEcn: true, packets: 4000 }))
      const bench = openQueueBench({ discipline, byteLimit: 'off' })
      bench.send(Array.from({ length: 500 }, (_, id) => frameOf(id, 1, 1000, 2, family)))
      const arrived: Uint8Array[] = []
      for (let ms = 0; ms < 5000; ms++, bench.clock.ms++) {
        bench.queue.flush()
        arrived.push(...bench.arrived())
      }
      assert.equal(arrived.length, 500)
      const marked = arrived.filter((frame) => ecnOf(frame) === 3)
      assert.equal(marked.length, bench.queue.queued().marked)
      assert.ok(marked.length > 10)
      assert.equal(bench.queue.statistics().drops['codel'], 0)
      if (family === 4)
        for (const frame of arrived)
          assert.equal(foldChecksum(addWords(0, frame, ETHERNET_BYTES, ETHERNET_BYTES + 20)), 0)
      assert.equal(bench.close(), 0)
    }
  })
})

function plainOf(frame: Uint8Array, id: number, sinceMs: number): PlainPacket {
  return { id, flow: queueOf(frame), bytes: frame.length, sinceMs, ecn: ecnOf(frame) }
}

const SECONDS = 20
const BULK_FLOW = 1
const SPARSE_FLOW = 2

/** A bulk flow that always has more, by the shaper's clock, and a packet of 100 bytes every 20 ms beside it. */
function delaysOf(discipline: Discipline) {
  const bench = openQueueBench({ discipline, byteLimit: 'off' })
  const sentMs = new Map<number, number>()
  const delays: number[] = []
  let [id, bits] = [0, 0]
  for (let step = 0; step < SECONDS * 4000; step++, bench.clock.ms += 0.25) {
    // Twice the rate.
    if (step % 5 === 0) bench.send([frameOf(id++, BULK_FLOW, 1514, 0), frameOf(id++, BULK_FLOW, 1514, 0)])
    if (step % 80 === 40) {
      sentMs.set(id, bench.clock.ms)
      bench.send([frameOf(id++, SPARSE_FLOW, 100, 0)])
    }
    bench.queue.flush()
    for (const frame of bench.arrived()) {
      bits += frame.length * 8
      const since = sentMs.get(idOf(frame))
      if (since !== undefined) delays.push(bench.clock.ms - since)
    }
  }
  assert.equal(bench.close(), 0)
  delays.sort((one, other) => one - other)
  return { p99Ms: delays[Math.floor(delays.length * 0.99)]!, bits }
}
