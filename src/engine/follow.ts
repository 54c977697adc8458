import type { Space, WorkerPool } from '../memory/index.js'
import type { Device } from './device.js'
import { deviceOf } from './graph.js'
import { type OpenStage, readStage } from './open-stage.js'
import { lookAtPacket, type PacketLook } from './packet-look.js'

/** What a stage has changed in a packet; a key is missing where that stayed. */
export interface PacketChange {
  /** On the wire, before and after. */
  readonly lengthBytes?: readonly [number, number]
  readonly flags?: readonly [readonly string[], readonly string[]]
  /** The first and the last byte that differ, of the first 64. */
  readonly bytes?: readonly [number, number]
}

/** One thing that became of a packet in one stage. A stage may do several: hand it on, and send a copy elsewhere. */
export type TraceStep = { readonly stage: string; readonly packets: number } & (
  | {
      readonly went: 'output'
      readonly output: string
      readonly to: string
      /** Of each packet, on the wire. */
      readonly lengthBytes: readonly number[]
      /**
       * Whether they lie in the frames that the stage was given. Others are
       * copies, parts, or what it had kept before.
       */
      readonly isSame: boolean
      readonly change: PacketChange
    }
  | { readonly went: 'sent'; readonly device: string }
  /** By the stage, or by the device that it sends to. */
  | { readonly went: 'dropped'; readonly reason: string; readonly device: string | null }
  /** Until later, alone or as part of another packet. */
  | { readonly went: 'kept' }
)

/**
 * Takes a bundle of a packet through a stage and all behind it, as
 * `OpenStage.take` does, and tells what became of it: to which outputs it was
 * handed, and which counters of drops have moved.
 */
export function followPackets(
  space: Space,
  pool: WorkerPool,
  first: OpenStage,
  received: number,
  isWatched: boolean,
): TraceStep[] {
  const { words } = space
  const steps: TraceStep[] = []
  /** A frame is known by its end. */
  const frameOf = ({ address }: PacketLook) => address + pool.room(address)
  const lookAt = (bundle: number) =>
    Array.from({ length: words[bundle >>> 2]! }, (_, index) => lookAtPacket(space, bundle, index))

  function noteOutput({ stage, targets }: OpenStage, order: number, before: readonly PacketLook[], from: number): void {
    const after = lookAt(from)
    const frames = before.map(frameOf)
    const isSame = after.every((packet) => frames.includes(frameOf(packet)))
    steps.push({
      stage: stage.name,
      packets: after.length,
      went: 'output',
      output: stage.outputs[order]!,
      to: targets()[order]!.stage.name,
      lengthBytes: after.map(({ lengthBytes }) => lengthBytes),
      isSame,
      change: isSame && before.length === 1 ? changeOf(before[0]!, after[0]!) : {},
    })
  }

  function walk(stage: OpenStage, bundle: number): void {
    const before = lookAt(bundle)
    const { name } = stage.stage
    const device = deviceOf(stage.stage)
    let drops = dropsOf(space, stage, device)
    let [dropped, handed] = [0, 0]
    const noteDrops = () => {
      const now = dropsOf(space, stage, device)
      for (const { packets, reason, device } of dropsSince(drops, now)) {
        steps.push({ stage: name, packets, went: 'dropped', reason, device })
        dropped += packets
      }
      drops = now
    }
    const targets = stage.targets()
    // While it has this packet, its outputs lead here, and from here to where they led.
    const caught = targets.map((target, order): OpenStage => {
      const take = (from: number) => {
        noteDrops()
        noteOutput(stage, order, before, from)
        handed++
        walk(target, from)
      }
      return { ...target, take }
    })
    stage.lead(caught)
    try {
      stage.take(bundle, isWatched)
    } finally {
      stage.lead(targets)
    }
    noteDrops()
    const rest = before.length - dropped
    if (device !== null && rest > 0) steps.push({ stage: name, packets: rest, went: 'sent', device: device.name })
    else if (device === null && handed === 0 && rest > 0) steps.push({ stage: name, packets: rest, went: 'kept' })
  }

  walk(first, received)
  return steps
}

interface Drops {
  readonly reason: string
  readonly device: string | null
  readonly packets: number
}

function dropsOf(space: Space, { place }: OpenStage, device: Device | null): Drops[] {
  const named = (drops: Readonly<Record<string, number>>, device: string | null) =>
    Object.entries(drops).map(([reason, packets]) => ({ reason, device, packets }))
  return [
    ...named(readStage(space, place).drops, null),
    ...(device === null ? [] : named(device.statistics().drops, device.name)),
  ]
}

function dropsSince(before: readonly Drops[], after: readonly Drops[]): Drops[] {
  return after
    .map((each, index) => ({ ...each, packets: each.packets - (before[index]?.packets ?? 0) }))
    .filter(({ packets }) => packets > 0)
}

function changeOf(before: PacketLook, after: PacketLook): PacketChange {
  const [one, other] = [before, after].map(({ begin }) => Buffer.from(begin, 'hex')) as [Buffer, Buffer]
  const differing = Array.from({ length: Math.min(one.length, other.length) }, (_, index) => index).filter(
    (index) => one[index] !== other[index],
  )
  return {
    ...(before.lengthBytes !== after.lengthBytes && { lengthBytes: [before.lengthBytes, after.lengthBytes] }),
    ...(before.flags.join() !== after.flags.join() && { flags: [before.flags, after.flags] }),
    ...(differing.length > 0 && { bytes: [differing[0]!, differing.at(-1)!] }),
  }
}
