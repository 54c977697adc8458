import { createCapture, createPcapng } from '../device/index.js'
import { openGenerator, type TrafficPlan } from '../generate/index.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
} from '../memory/index.js'
import { openTrafficBench, type TrafficRun } from './traffic-run.js'

const LINK_TYPE_ETHERNET = 1
const SNAP_LENGTH = 65_535
const PCAPNG = /\.pcapng(?:\.gz)?$/i
/** Packets after which the event loop has its turn. */
const PACKETS_A_TURN = 4096

/**
 * Writes a plan's packets into a capture file, each at the time when it would
 * have been sent, which is not waited for: the file is the same however fast
 * the machine is. Throws CaptureError.
 */
export function startFile(plan: TrafficPlan, path: string, forMs: number): TrafficRun {
  const { space, code, pool } = openTrafficBench(plan)
  const form = { linkTypeNumber: LINK_TYPE_ETHERNET, snapLength: SNAP_LENGTH }
  const writer = PCAPNG.test(path)
    ? createPcapng(path, form)
    : createCapture(path, { ...form, resolution: 'nanoseconds' })
  const bundle = space.reserve({ name: 'file bundle', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  const generator = openGenerator(space, code, pool, 'file', plan)
  const begin = Date.now()
  const started = performance.now()
  const word = (field: number, index: number) =>
    space.words[(bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + field) / 4]!
  let isStopped = false
  let isOpen = true
  let bytes = 0

  /** All packets of one point in time. */
  const write = (nowNs: number): number => {
    const count = generator.make(bundle, nowNs)
    const nanoseconds = (begin % 1000) * 1e6 + nowNs
    const time = {
      seconds: Math.floor(begin / 1000) + Math.floor(nanoseconds / 1e9),
      nanoseconds: Math.floor(nanoseconds % 1e9),
    }
    for (let index = 0; index < count; index++) {
      const at = word(DESCRIPTOR_ADDRESS, index)
      const data = space.bytes.subarray(at, at + word(DESCRIPTOR_CAPTURED, index))
      bytes += data.length
      writer.write({ data, wireLength: data.length, ...time })
    }
    pool.give(bundle + BUNDLE_DESCRIPTORS, count)
    space.words[bundle / 4] = 0
    return count
  }
  const work = async () => {
    for (let left = PACKETS_A_TURN; !isStopped && generator.dueNs() <= forMs * 1e6; ) {
      left -= write(generator.dueNs())
      if (left > 0) continue
      left = PACKETS_A_TURN
      await new Promise((resolve) => setImmediate(resolve))
    }
    writer.finish()
  }
  generator.begin(begin * 1e6)
  return {
    notes: [],
    read: () => {
      const { packets, leftOut, stamped, unstamped } = generator.statistics()
      const sent = { packets, bytes, leftOut, stamped, unstamped, drops: {} }
      return { sent, measured: null, elapsedMs: performance.now() - started }
    },
    done: new Promise((resolve) => setImmediate(resolve)).then(work),
    stop() {
      isStopped = true
    },
    close() {
      if (!isOpen) return
      isOpen = false
      writer.discard()
    },
  }
}
