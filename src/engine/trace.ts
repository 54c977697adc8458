import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  MOST_IN_BUNDLE,
  type Space,
  type WorkerPool,
} from '../memory/index.js'
import { followPackets, type TraceStep } from './follow.js'
import type { OpenStage } from './open-stage.js'
import { lookAtPacket } from './packet-look.js'
import type { Judge } from './stage.js'

export interface TraceOptions {
  /** What is followed: packets of which it says rule 0. */
  readonly judge: Judge
  /** So many packets, 1 or more; then the trace ends by itself. */
  readonly limit: number
}

/** A packet that was followed through a graph. */
export interface TracedPacket {
  /** From 1 on, in the order in which they came. */
  readonly number: number
  readonly device: string
  /** On the wire. */
  readonly lengthBytes: number
  /** What stood in its descriptor's flags, in words. */
  readonly flags: readonly string[]
  /** Its first 64 bytes when it came, in hexadecimal. */
  readonly begin: string
  /** What it met, in the order in which it did: what a stage handed to an output goes to its end first. */
  readonly steps: readonly TraceStep[]
}

/** A trace at work, or at its end. */
export interface Trace {
  /** The packets that were followed since the last call. */
  take(): TracedPacket[]
  /** Whether it has ended: as many were found as were asked for, or it was stopped. */
  isDone(): boolean
  /** The graph goes on without it; stopping again does nothing. */
  stop(): void
}

/** What takes the bundles of an engine through its graph while packets are followed. */
export interface Tracer extends Trace {
  /** Takes a bundle that a device has received to its end; it is empty then. */
  run(bundle: number, device: string, stage: OpenStage, isWatched: boolean): void
}

const VERDICT_BYTES = 4
const MATCHED = 0

/** Starts a trace; `title` begins the names of its regions, and `ended` is called when it ends. Throws LayoutError. */
export function openTracer(
  space: Space,
  pool: WorkerPool,
  title: string,
  { judge, limit }: TraceOptions,
  ended: () => void,
): Tracer {
  const { words, bytes } = space
  const received = `${title} received`
  const aside = space.reserve({ name: received, kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  const verdicts = reserveOr(space, `${title} verdicts`, MOST_IN_BUNDLE * VERDICT_BYTES, () => space.free(received))
  let followed: TracedPacket[] = []
  let count = 0
  let isOpen = true

  /** Puts packets `from` to `until` of those received into the bundle, which is empty. */
  const lay = (bundle: number, from: number, until: number) => {
    const first = aside + BUNDLE_DESCRIPTORS
    bytes.copyWithin(bundle + BUNDLE_DESCRIPTORS, first + from * DESCRIPTOR_BYTES, first + until * DESCRIPTOR_BYTES)
    words[bundle >>> 2] = until - from
  }
  const isFollowed = (index: number) => count < limit && words[(verdicts >>> 2) + index] === MATCHED
  const stop = () => {
    if (!isOpen) return
    isOpen = false
    space.free(received)
    space.free(`${title} verdicts`)
    ended()
  }
  return {
    run(bundle, device, stage, isWatched) {
      const packets = words[bundle >>> 2]!
      judge(bundle + BUNDLE_DESCRIPTORS, packets, verdicts)
      bytes.copyWithin(aside, bundle, bundle + BUNDLE_BYTES)
      // In the order in which they came: those between two that are followed stay together.
      for (let index = 0; index < packets; ) {
        let until = index
        while (until < packets && !isFollowed(until)) until++
        if (until > index) {
          lay(bundle, index, until)
          stage.take(bundle, isWatched)
        }
        index = until
        if (index === packets) break
        lay(bundle, index, ++index)
        const { begin, lengthBytes, flags } = lookAtPacket(space, bundle, 0)
        const steps = followPackets(space, pool, stage, bundle, isWatched)
        followed.push({ number: ++count, device, lengthBytes, flags, begin, steps })
      }
      if (count >= limit) stop()
    },
    take() {
      const taken = followed
      followed = []
      return taken
    },
    isDone: () => !isOpen,
    stop,
  }
}

function reserveOr(space: Space, name: string, bytes: number, undo: () => void): number {
  try {
    return space.reserve({ name, kind: 'state', bytes }).offset
  } catch (error) {
    undo()
    throw error
  }
}
