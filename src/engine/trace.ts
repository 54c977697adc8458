import { BUNDLE_DESCRIPTORS, MOST_IN_BUNDLE, type Space, type WorkerPool } from '../memory/index.js'
import type { Device } from './device.js'
import { divideBundle } from './divide-bundle.js'
import { openFollower, type TraceStep, type Way } from './follow.js'
import type { OpenStage } from './open-stage.js'
import { lookAtPacket, type PacketLook } from './packet-look.js'
import { packetMarks } from './packet-marks.js'
import type { Judge } from './stage.js'

/** A packet that was followed through a graph, or through those of several workers. */
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
  /**
   * What it met, in the order in which it did: what a stage handed to an output
   * goes to its end first. With the worker where it met it, if there are several.
   */
  readonly steps: readonly (TraceStep & { readonly worker?: string })[]
}

/** A trace at work, or at its end. */
export interface Trace {
  /** The packets whose ways have ended since the last call; one that has not been seen for a second is given as far as it came. */
  take(): TracedPacket[]
  /** Whether it has ended: as many were found as were asked for and all were taken, or it was stopped. */
  isDone(): boolean
  /** The graph goes on without it; stopping again does nothing. */
  stop(): void
}

/** A piece of a packet's way, as one thread has seen it. */
export interface TracePart extends Readonly<Way> {
  /** Parts of one packet stand in this order. */
  readonly order: number
  /** How it came to be followed; null where it was already. */
  readonly arrival: (Omit<PacketLook, 'address'> & { readonly device: string }) | null
}

/** Where a trace keeps what it needs, as plain numbers, and which it is. */
export interface TracePlace {
  readonly id: number
  readonly limit: number
  /** Address of TRACE_SHARED_BYTES that all threads have in common. */
  readonly shared: number
  /** Address of TRACE_BYTES that are one thread's. */
  readonly verdicts: number
}

/** Words: packets that were found, parts that were begun, and whether packets may be found. */
const FOUND = 0
const BEGUN = 1
const IS_OPEN = 2
export const TRACE_SHARED_BYTES = 64
const VERDICT_BYTES = 4
export const TRACE_BYTES = MOST_IN_BUNDLE * VERDICT_BYTES
const MATCHED = 0

/**
 * Lets threads find packets. Before, all of them have to know of the trace: who does
 * not would take a packet that another one has found on as one of no trace.
 */
export function letFind({ words }: Space, { shared }: Pick<TracePlace, 'shared'>): void {
  Atomics.store(words, (shared >>> 2) + IS_OPEN, 1)
}

/** How many packets were found by all threads. */
export function packetsFound({ words }: Space, { shared }: Pick<TracePlace, 'shared'>): number {
  return Atomics.load(words, (shared >>> 2) + FOUND)
}

/** What takes the bundles of an engine through its graph while packets are followed. */
export interface Tracer {
  /** Takes a bundle that a device has received to its end; it is empty then. */
  run(bundle: number, device: Device, stage: OpenStage, isWatched: boolean): void
  /** Lets all stages give what they have kept, at the end of a round. */
  flush(stages: readonly OpenStage[], bundle: number, isWatched: boolean): void
  /** What was seen since the last call. */
  take(): readonly TracePart[]
  /** Whether packets that are followed wait in one of these stages. */
  isAwaiting(stages: readonly OpenStage[]): boolean
}

/** Follows packets that come from without, if the judge says so, and those that others have marked. */
export function openTracer(space: Space, pool: WorkerPool, place: TracePlace, judge: Judge): Tracer {
  const { words } = space
  const { id, limit, shared, verdicts } = place
  const marks = packetMarks(space, id)
  const follower = openFollower(space, pool, marks, (number, came) => beginPart(number, came, null))
  let parts: TracePart[] = []

  function beginPart(number: number, came: number, arrival: TracePart['arrival']): Way {
    const part = { number, came, left: 0, steps: [], order: Atomics.add(words, (shared >>> 2) + BEGUN, 1), arrival }
    parts.push(part)
    return part
  }

  /** The number of a packet that is found now; 0 where there were enough, or none may be found yet. */
  function find(): number {
    if (Atomics.load(words, (shared >>> 2) + IS_OPEN) === 0 || packetsFound(space, place) >= limit) return 0
    const number = Atomics.add(words, (shared >>> 2) + FOUND, 1) + 1
    if (number <= limit) return number
    Atomics.sub(words, (shared >>> 2) + FOUND, 1)
    return 0
  }

  return {
    run(bundle, device, stage, isWatched) {
      judge(bundle + BUNDLE_DESCRIPTORS, words[bundle >>> 2]!, verdicts)
      const found = new Set<number>()
      const numberOf = (packet: number, index: number) => {
        const known = marks.read(packet)
        if (known !== 0 || device.peer !== undefined || words[(verdicts >>> 2) + index] !== MATCHED) return known
        const number = find()
        if (number === 0) return 0
        found.add(number)
        marks.write(packet, number)
        return number
      }
      divideBundle(space, bundle, numberOf, (number, count) => {
        if (number === 0) {
          follower.pass(stage, bundle, isWatched)
          return
        }
        const { address: _, ...look } = lookAtPacket(space, bundle, 0)
        const isNew = found.has(number)
        const way = beginPart(number, isNew ? 0 : count, isNew ? { ...look, device: device.name } : null)
        follower.follow(way, stage, bundle, isWatched)
      })
    },
    flush(stages, bundle, isWatched) {
      for (const stage of stages) follower.flush(stage, bundle, isWatched)
    },
    take() {
      const taken = parts
      parts = []
      return taken
    },
    isAwaiting: follower.isAwaiting,
  }
}
