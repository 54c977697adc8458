import type { Space, WorkerPool } from '../memory/index.js'
import type { Device } from './device.js'
import { divideBundle } from './divide-bundle.js'
import { deviceOf } from './graph.js'
import { type OpenStage, readStage } from './open-stage.js'
import { lookAtPacket, type PacketLook } from './packet-look.js'
import type { PacketMarks } from './packet-marks.js'
import type { KeptPacket } from './stage.js'

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
       * copies or parts, or are what it had kept.
       */
      readonly isSame: boolean
      readonly change: PacketChange
      /** What made the stage give what it had kept: the end of the round, or another packet; null: it has just come. */
      readonly released: 'round' | 'packet' | null
    }
  | { readonly went: 'sent'; readonly device: string }
  /** By the stage, or by the device that it sends to. */
  | { readonly went: 'dropped'; readonly reason: string; readonly device: string | null }
  /** Until later, by itself. */
  | { readonly went: 'kept' }
  /** Into a packet that the stage had kept: one that is followed, whose steps tell the rest, or another, which is followed from now on. */
  | { readonly went: 'merged'; readonly into: number | null; readonly lengthBytes: number }
)

/** What one thread sees of the way of one packet, from where it comes until it goes. */
export interface Way {
  readonly number: number
  readonly steps: TraceStep[]
  /** Packets that have come with its mark, and that are kept or went to another worker: as many will come again. */
  came: number
  left: number
}

/** Follows packets through the stages of an engine, and takes the others there. */
export interface Follower {
  /** Takes a bundle of packets of one way, which have its mark, to their end. */
  follow(way: Way, stage: OpenStage, bundle: number, isWatched: boolean): void
  /** Takes packets to their end that are not followed. */
  pass(stage: OpenStage, bundle: number, isWatched: boolean): void
  /** As `OpenStage.flush`. */
  flush(stage: OpenStage, bundle: number, isWatched: boolean): void
  /** Whether packets that are followed wait in one of these stages. */
  isAwaiting(stages: readonly OpenStage[]): boolean
}

type Handler = (order: number, target: OpenStage, from: number) => void

/** `begin` starts a way where a packet comes out of a stage that had kept it. */
export function openFollower(
  space: Space,
  pool: WorkerPool,
  marks: PacketMarks,
  begin: (number: number, came: number) => Way,
): Follower {
  const { words } = space
  /** Stages in which packets wait, and how many. */
  const holders = new Map<OpenStage, number>()
  /** Where the outputs of stages lead while they lead here. */
  const outputs = new Map<OpenStage, readonly OpenStage[]>()
  /** A frame is known by its end. */
  const frameOf = ({ address }: PacketLook) => address + pool.room(address)
  const lookAt = (bundle: number) =>
    Array.from({ length: words[bundle >>> 2]! }, (_, index) => lookAtPacket(space, bundle, index))

  /** While it runs, the outputs of the stage lead to `handle`, which hands on to where they led. */
  function lead(stage: OpenStage, handle: Handler, run: () => void): void {
    const [before, real] = [stage.targets(), outputs.get(stage) ?? stage.targets()]
    outputs.set(stage, real)
    stage.lead(real.map((target, order) => ({ ...target, take: (from) => handle(order, target, from) })))
    try {
      run()
    } finally {
      stage.lead(before)
      if (before === real) outputs.delete(stage)
    }
  }

  /** Runs with an eye on the stages in which packets wait. */
  function watchHolders(released: 'round' | 'packet', isWatched: boolean, run: () => void): void {
    const [stage] = [...holders.keys()].filter((each) => !outputs.has(each))
    if (stage === undefined) {
      run()
      return
    }
    const handle: Handler = (order, target, from) =>
      divideBundle(space, from, marks.read, (number, count) => {
        if (number === 0) target.take(from, isWatched)
        else release(stage, order, target, from, begin(number, count), released, isWatched)
      })
    lead(stage, handle, () => watchHolders(released, isWatched, run))
  }

  /** Goes on with what a stage had kept. */
  function release(
    stage: OpenStage,
    order: number,
    target: OpenStage,
    from: number,
    way: Way,
    released: 'round' | 'packet',
    isWatched: boolean,
  ): void {
    expect(stage, -words[from >>> 2]!)
    way.steps.push({ ...outputStep(stage, order, target, lookAt(from)), isSame: false, change: {}, released })
    walk(way, target, from, isWatched)
  }

  function expect(stage: OpenStage, packets: number): void {
    const waiting = (holders.get(stage) ?? 0) + packets
    if (waiting > 0) holders.set(stage, waiting)
    else holders.delete(stage)
  }

  function walk(way: Way, stage: OpenStage, bundle: number, isWatched: boolean): void {
    const before = lookAt(bundle)
    const { name } = stage.stage
    const device = deviceOf(stage.stage)
    const kept = stage.kept()
    let drops = dropsOf(space, stage, device)
    let [dropped, handed, isMerged] = [0, 0, false]
    const noteDrops = () => {
      const now = dropsOf(space, stage, device)
      for (const { packets, reason, device } of dropsSince(drops, now)) {
        way.steps.push({ stage: name, packets, went: 'dropped', reason, device })
        dropped += packets
      }
      drops = now
    }
    const noteMerged = (packet: KeptPacket) => {
      const number = marks.read(packet.address)
      way.steps.push({
        stage: name,
        packets: before.length,
        went: 'merged',
        into: number === 0 ? null : number,
        lengthBytes: packet.lengthBytes,
      })
      if (number === 0) marks.write(packet.address, way.number)
      isMerged = true
    }
    /** Whose a packet is that comes out: the way's number, another's, or 0. */
    const ownerOf = (packet: PacketLook): number => {
      const number = marks.read(packet.address)
      if (number === way.number) return number
      if (kept === null && number === 0) {
        marks.write(packet.address, way.number)
        return way.number
      }
      if (kept !== null && hasGrown(packet, kept)) noteMerged(packet)
      return marks.read(packet.address)
    }
    const handle: Handler = (order, target, from) => {
      noteDrops()
      const after = lookAt(from)
      divideBundle(
        space,
        from,
        (_, index) => ownerOf(after[index]!),
        (owner, count) => {
          if (owner === 0) pass(target, from, isWatched)
          else if (owner !== way.number) release(stage, order, target, from, begin(owner, count), 'packet', isWatched)
          else {
            way.steps.push(handedStep(stage, order, target, before, lookAt(from)))
            handed += count
            walk(way, target, from, isWatched)
          }
        },
      )
    }
    lead(stage, handle, () => stage.take(bundle, isWatched))
    noteDrops()
    const rest = before.length - dropped
    if (rest <= 0) return
    if (device !== null) {
      way.steps.push({ stage: name, packets: rest, went: 'sent', device: device.name })
      if (device.peer !== undefined) way.left += rest
    } else if (handed === 0 && !isMerged) noteKept(rest)

    function noteKept(packets: number): void {
      const now = stage.kept()
      const own = now === null ? packets : ownAmong(now) - ownAmong(kept ?? [])
      const host = own > 0 ? undefined : now?.find((packet) => hasGrown(packet, kept ?? []))
      if (host === undefined) way.steps.push({ stage: name, packets, went: 'kept' })
      else noteMerged(host)
      const waiting = host !== undefined && marks.read(host.address) === way.number ? 1 : own
      way.left += waiting
      expect(stage, waiting)
    }

    function ownAmong(packets: readonly KeptPacket[]): number {
      return packets.filter(({ address }) => marks.read(address) === way.number).length
    }
  }

  function handedStep(
    stage: OpenStage,
    order: number,
    target: OpenStage,
    before: readonly PacketLook[],
    after: readonly PacketLook[],
  ): TraceStep {
    const frames = before.map(frameOf)
    const isSame = after.every((packet) => frames.includes(frameOf(packet)))
    const change = isSame && before.length === 1 ? changeOf(before[0]!, after[0]!) : {}
    return { ...outputStep(stage, order, target, after), isSame, change, released: null }
  }

  function pass(stage: OpenStage, bundle: number, isWatched: boolean): void {
    watchHolders('packet', isWatched, () => stage.take(bundle, isWatched))
  }

  return {
    follow: walk,
    pass,
    flush(stage, bundle, isWatched) {
      watchHolders('round', isWatched, () => stage.flush(bundle, isWatched))
      if (holders.has(stage) && stage.kept()?.length === 0) holders.delete(stage)
    },
    isAwaiting(stages) {
      for (const stage of holders.keys()) if (!stages.includes(stage)) holders.delete(stage)
      return holders.size > 0
    },
  }
}

/** What goes to an output, but for what became of it in the stage. */
function outputStep({ stage }: OpenStage, order: number, target: OpenStage, packets: readonly PacketLook[]) {
  return {
    stage: stage.name,
    packets: packets.length,
    went: 'output',
    output: stage.outputs[order]!,
    to: target.stage.name,
    lengthBytes: packets.map(({ lengthBytes }) => lengthBytes),
  } as const
}

/** Whether something was merged into a packet since the stage had kept these; the packet may have moved meanwhile. */
function hasGrown({ address, lengthBytes }: KeptPacket, kept: readonly KeptPacket[]): boolean {
  const old = kept.find((each) => each.address === address)
  return old === undefined || old.lengthBytes < lengthBytes
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
