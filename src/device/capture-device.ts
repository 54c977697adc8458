import { watch } from 'node:fs'
import type { Device } from '../engine/index.js'
import {
  BUNDLE_DESCRIPTORS,
  type Code,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  HEADROOM_BYTES,
  MOST_IN_BUNDLE,
  packetTimes,
  type Space,
  TRAFFIC_COPIED_PACKETS,
  TRAFFIC_RECEIVED_BYTES,
  TRAFFIC_RECEIVED_PACKETS,
  type WorkerPool,
} from '../memory/index.js'
import { bundlePackets } from './bundle-packets.js'
import type { Capture, CapturedPacket, CaptureWriter } from './capture.js'
import { packetRecords } from './packet-records.js'
import { TOO_LONG } from './sender.js'
import { openTraffic } from './traffic.js'

/** Capture files as a device; both are closed with it. */
export interface CaptureDeviceOptions {
  /** What the engine calls it. */
  readonly name: string
  /** What is received, until it ends, breaks, or for as long as it grows. */
  readonly reader?: Capture
  /** Where what is sent is written. */
  readonly writer?: CaptureWriter
  /** Whether `flush` hands what was written to the kernel, so that others can follow. By default only when the buffer is full. */
  readonly flushes?: boolean
}

export interface CaptureDevice extends Device {
  /** Writes the packets of a bundle and leaves it as it is: for `observe`. */
  look(bundle: number): void
  /** Whether everything has been received. */
  isAtEnd(): boolean
  /** Why nothing more is received or written; null while all is well. */
  error(): Error | null
}

/** No frame was taken for it; tried again when there is one. */
const NO_FRAME = 0

/**
 * A device that receives the packets of a capture, as fast as it is asked, and
 * writes what is sent. Length on the wire, time and record of a packet go with
 * its frame: a file that is opened `whole` and goes through an engine into its
 * `createCopy` comes out byte for byte. What has no time is given the present
 * one. Each packet is copied once. Throws LayoutError.
 */
export function openCaptureDevice(
  space: Space,
  code: Code,
  pool: WorkerPool,
  { name, reader, writer, flushes = false }: CaptureDeviceOptions,
): CaptureDevice {
  const { words, bytes, counters } = space
  const traffic = openTraffic(space, `capture ${name}`, [TOO_LONG])
  const times = packetTimes(space)
  const records = packetRecords(space)
  const growth = openGrowth(reader)
  const settleSent = code.find('settleSent')
  let pending: CapturedPacket | null = null
  let isOpen = true
  let error: Error | null = null

  /** Runs what may fail; afterwards nothing is written any more. */
  const attempt = (run: () => void) => {
    if (error !== null) return
    try {
      run()
    } catch (thrown) {
      error = thrown as Error
    }
  }
  const peek = () => {
    if (pending === null) pending = reader?.next() ?? null
    return pending
  }
  const descriptorOf = (bundle: number, index: number) => (bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES) >>> 2

  const count = (field: number, amount: number) => {
    counters[(traffic.address + field) / 8]! += amount
  }

  /** Appends a frame of the smallest class that holds the packet; 0 where there is none now, -1 where there never is. */
  function takeFrame(bundle: number, length: number): number {
    let result = -1
    for (const frameBytes of pool.classes) {
      if (length > frameBytes - HEADROOM_BYTES) continue
      if (pool.take(bundle, 1, frameBytes) === 0) {
        result = NO_FRAME
        continue
      }
      const index = words[bundle >>> 2]! - 1
      const at = words[descriptorOf(bundle, index) + DESCRIPTOR_ADDRESS / 4]!
      if (pool.room(at) >= length) return 1
      // Its headroom is longer than that of others.
      pool.give(descriptorOf(bundle, index) * 4, 1)
      words[bundle >>> 2] = index
    }
    return result
  }

  /** Copies a packet into a frame; false where it has to wait for one. */
  function place(bundle: number, { data, wireLength, seconds, nanoseconds, record }: CapturedPacket): boolean {
    const taken = takeFrame(bundle, data.length)
    if (taken === NO_FRAME) return false
    if (taken < 0) {
      counters[traffic.drops(0) / 8]! += 1
      return true
    }
    const word = descriptorOf(bundle, words[bundle >>> 2]! - 1)
    const at = words[word + DESCRIPTOR_ADDRESS / 4]!
    bytes.set(data, at)
    times.write(at, seconds, nanoseconds)
    if (record) records.keep(at, record)
    words[word + DESCRIPTOR_WIRE / 4] = wireLength
    words[word + DESCRIPTOR_CAPTURED / 4] = data.length
    count(TRAFFIC_RECEIVED_PACKETS, 1)
    count(TRAFFIC_RECEIVED_BYTES, wireLength)
    count(TRAFFIC_COPIED_PACKETS, 1)
    return true
  }

  const eachPacket = bundlePackets(space)
  const write = (packet: CapturedPacket) => writer?.write(packet)
  const canWrite = () => isOpen && writer !== undefined && error === null
  return {
    name,
    receive(bundle, most) {
      if (!isOpen) return 0
      const before = words[bundle >>> 2]!
      const until = Math.min(MOST_IN_BUNDLE, before + most)
      while (words[bundle >>> 2]! < until) {
        const packet = peek()
        if (packet === null || !place(bundle, packet)) break
        pending = null
      }
      return words[bundle >>> 2]! - before
    },
    send(bundle) {
      if (canWrite()) attempt(() => eachPacket(bundle, write))
      if (!canWrite()) return 0
      const sent = words[bundle >>> 2]!
      settleSent(pool.address, traffic.address, bundle, sent)
      return sent
    },
    look(bundle) {
      if (!canWrite()) return
      attempt(() => eachPacket(bundle, write))
      count(TRAFFIC_COPIED_PACKETS, words[bundle >>> 2]!)
    },
    flush() {
      if (flushes && canWrite()) attempt(() => writer?.flush())
    },
    isReady: () => isOpen && peek() !== null,
    async wait(timeoutMs) {
      // What has ended gives no more: it waits for the time alone, and leaves others their time.
      if (isOpen && peek() === null) await growth.wait(timeoutMs)
    },
    isAtEnd: () => peek() === null && reader?.isGrowing !== true,
    error: () => error ?? reader?.error ?? null,
    statistics: traffic.statistics,
    close() {
      if (!isOpen) return
      if (writer !== undefined) attempt(() => writer.finish())
      isOpen = false
      growth.close()
      reader?.close()
      traffic.close()
    },
  }
}

/** Waits until a file has grown, or for the time where it does not. */
function openGrowth(reader: Capture | undefined) {
  let wake = () => {}
  const watcher = reader?.isGrowing === true ? watch(reader.path, () => wake()).unref() : null
  return {
    wait: (timeoutMs: number) =>
      new Promise<void>((resolve) => {
        wake()
        const timer = setTimeout(() => wake(), timeoutMs)
        wake = () => {
          clearTimeout(timer)
          wake = () => {}
          resolve()
        }
      }),
    close() {
      wake()
      watcher?.close()
    },
  }
}
