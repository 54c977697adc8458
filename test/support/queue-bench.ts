import { createLink } from '../../src/device/index.js'
import type { Device } from '../../src/engine/index.js'
import { METADATA_BYTES, METADATA_MARK, METADATA_VALID } from '../../src/memory/index.js'
import { openQueue, type Queue, type QueueOptions } from '../../src/transmit/index.js'
import { type EngineBench, openBench } from './engine.js'

/** A queue before one end of a link, with a clock that stands until a test moves it. */
export interface QueueBench {
  readonly bench: EngineBench
  readonly queue: Queue
  /** The link's other end. */
  readonly peer: Device
  readonly clock: { ms: number }
  /** Sends packets, each with a mark in its metadata where one is given; all of them are taken. */
  send(packets: readonly Uint8Array[], mark?: number): void
  /** What has arrived at the other end. */
  arrived(most?: number): Uint8Array[]
  /** Closes all; gives how many frames are not back. */
  close(): number
}

export function openQueueBench(options: QueueOptions = {}, slots = 4096, frames = 4096): QueueBench {
  const bench = openBench({ 2048: frames })
  const { space, code, worker } = bench
  const clock = { ms: 1000 }
  const [near, peer] = createLink(space, code, worker, 'link', { slots })
  const queue = openQueue(space, code, worker, near, { clock: () => clock.ms, ...options })
  const bundle = bench.bundle('sent')
  const arrivals = bench.bundle('arrivals')
  return {
    bench,
    queue,
    peer,
    clock,
    send(packets, mark) {
      for (let at = 0; at < packets.length; at += 64) {
        bench.fill(bundle, packets.slice(at, at + 64))
        if (mark !== undefined) writeMarks(bench, bundle, mark)
        queue.send(bundle)
        if (bench.count(bundle) > 0) throw new Error('a queue takes all that it is sent')
      }
    },
    arrived(most = Number.POSITIVE_INFINITY) {
      const packets: Uint8Array[] = []
      while (packets.length < most && peer.receive(arrivals, Math.min(64, most - packets.length)) > 0) {
        packets.push(...bench.read(arrivals))
        bench.empty(arrivals)
      }
      return packets
    },
    close() {
      queue.close()
      peer.close()
      return bench.inUse()
    },
  }
}

const HAS_MARK = 1

function writeMarks({ space, count, packetAt }: EngineBench, bundle: number, mark: number): void {
  for (let index = 0; index < count(bundle); index++) {
    const metadata = packetAt(bundle + 16, index) - METADATA_BYTES
    space.bytes[metadata + METADATA_VALID] = HAS_MARK
    new DataView(space.memory.buffer).setUint32(metadata + METADATA_MARK, mark, true)
  }
}
