import type { Device } from '../src/engine/index.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  METADATA_BYTES,
  METADATA_VALID,
  type Space,
  type WorkerPool,
} from '../src/memory/index.js'
import type { Queue } from '../src/transmit/index.js'
import { flowFrame } from '../test/support/flow-packet.js'

/** What came of a ping beside a bulk transfer. */
export interface PingsAndBulk {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly mbitPerSecond: number
}

export interface PingsOptions {
  readonly pingMs: number
  /** Packets that the bulk transfer keeps waiting in the queue. */
  readonly backlog: number
}

export const BULK_BYTES = 1514
const PING_BYTES = 100
const AT_ONCE = 16
/** In the payload, at a multiple of four in memory: packets begin at 2 mod 4. */
const NUMBER_AT = 46

/**
 * A bulk transfer, which always has more, and a ping that is sent now and then,
 * two flows into a queue; and what comes of both at the far end of the wire.
 */
export function openPingAndBulk({ words, bytes, reserve }: Space, pool: WorkerPool, wire: Device) {
  const bundle = reserve({ name: 'sent', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  const arrivals = reserve({ name: 'arrivals', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  const frameOf = (flow: number, length: number) =>
    flowFrame({ family: 4, protocol: 'udp', flow, payload: new Uint8Array(length - 42) })
  const [bulk, ping] = [frameOf(1, BULK_BYTES), frameOf(2, PING_BYTES)]
  const at = (list: number, index: number, field: number) =>
    (list + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + field) >>> 2

  function sendPackets(queue: Queue, frame: Uint8Array, count: number, number: number): void {
    const taken = pool.take(bundle, count)
    for (let index = 0; index < taken; index++) {
      const address = words[at(bundle, index, DESCRIPTOR_ADDRESS)]!
      bytes.set(frame, address)
      bytes[address - METADATA_BYTES + METADATA_VALID] = 0
      words[(address + NUMBER_AT) >>> 2] = number
      words[at(bundle, index, DESCRIPTOR_WIRE)] = frame.length
      words[at(bundle, index, DESCRIPTOR_CAPTURED)] = frame.length
    }
    queue.send(bundle)
  }

  function give(count: number): void {
    pool.give(arrivals + BUNDLE_DESCRIPTORS, count)
    words[arrivals >>> 2] = 0
  }

  return {
    /** Sends and receives for a while. */
    run(queue: Queue, durationMs: number, { pingMs, backlog }: PingsOptions): PingsAndBulk {
      const sentAt: number[] = []
      const delays: number[] = []
      let arrivedBytes = 0
      const begin = performance.now()
      for (let now = begin; now - begin < durationMs; now = performance.now()) {
        if (queue.queued().packets < backlog) sendPackets(queue, bulk, AT_ONCE, 0)
        if (now - begin >= sentAt.length * pingMs) {
          sentAt.push(now)
          sendPackets(queue, ping, 1, sentAt.length)
        }
        queue.flush()
        const count = wire.receive(arrivals, 64)
        for (let index = 0; index < count; index++) {
          const number = words[(words[at(arrivals, index, DESCRIPTOR_ADDRESS)]! + NUMBER_AT) >>> 2]!
          arrivedBytes += words[at(arrivals, index, DESCRIPTOR_WIRE)]!
          // Those of an earlier run that are still under way have higher numbers.
          if (number > 0 && number <= sentAt.length) delays.push(performance.now() - sentAt[number - 1]!)
        }
        give(count)
      }
      const seconds = (performance.now() - begin) / 1000
      delays.sort((one, other) => one - other)
      const quantile = (part: number) => delays[Math.floor(delays.length * part)] ?? Number.POSITIVE_INFINITY
      return { p50Ms: quantile(0.5), p99Ms: quantile(0.99), mbitPerSecond: (arrivedBytes * 8) / seconds / 1e6 }
    },
    /** Takes what is still under way. */
    drain() {
      for (let count = wire.receive(arrivals, 256); count > 0; count = wire.receive(arrivals, 256)) give(count)
    },
  }
}
