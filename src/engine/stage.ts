import type { Code, RegionKind, Space, WorkerPool } from '../memory/index.js'

export type { Judge } from '../memory/index.js'

/** What the engine lends to a stage that starts. */
export interface StageHost {
  readonly space: Space
  readonly code: Code
  readonly pool: WorkerPool
  /** Bundles of the outputs, by their order; `outputs[0]` is 0, because there the first output is the input. */
  readonly outputs: readonly number[]
  /** Address of the stage's drop counters, f64 each, in the order of `drops`. */
  readonly drops: number
  /** Zeroed memory of the stage's own, given back when it closes; its address. */
  reserve(what: string, kind: RegionKind, bytes: number): number
  /** Counts all packets of the bundle as dropped for reason `drops[reason]`, and gives their frames back. */
  dropAll(bundle: number, reason: number): void
}

/** A packet that waits in a stage. */
export interface KeptPacket {
  readonly address: number
  /** On the wire, as it is now. */
  readonly lengthBytes: number
}

/**
 * A stage at work. The bundle that it is handed becomes its first output: what
 * goes on there stays, moved to the front; what goes to another output is
 * appended to `host.outputs[i]`; a frame that the stage keeps is taken out.
 */
export interface RunningStage {
  /** Takes one bundle, which may be empty where `hasMore` has said so. */
  run(bundle: number): void
  /**
   * For stages that make more of a bundle than fits into one: whether `run` has
   * to be called again, with an empty bundle, when the outputs have been taken.
   */
  hasMore?(): boolean
  /** Called once a round with an empty bundle, for what the stage has kept: merged, delayed or made. */
  flush?(bundle: number): void
  /** `flush` is called before anything is received as well, because what comes may not overtake what was kept. */
  readonly flushesFirst?: boolean
  /**
   * For stages that keep packets or merge them: those that wait in it, a merged
   * one once. Only a trace asks. A stage that keeps some and has not this can
   * be traced as well; what it gives is then taken to be of the packet that it was given.
   */
  kept?(): readonly KeptPacket[]
  /** Gives back every frame that it keeps. */
  close?(): void
}

/** A stage as a plain value: what it is called, what leaves it, and how it is started. */
export interface Stage {
  /** Unique in a graph. */
  readonly name: string
  /** The first is where packets go that nothing else is said about; none: the stage is an end. */
  readonly outputs: readonly string[]
  /** Reasons for which it drops packets. */
  readonly drops: readonly string[]
  /**
   * What it does, and with what. In a changed graph a stage of the same name,
   * kind and equal settings (each by Object.is) goes on with its state.
   */
  readonly kind: string
  readonly settings: Readonly<Record<string, unknown>>
  start(host: StageHost): RunningStage
}

/** Whether a running stage can go on as the other one. */
export function isSameStage(one: Stage, other: Stage): boolean {
  if (one === other) return true
  const keys = Object.keys(one.settings)
  return (
    one.name === other.name &&
    one.kind === other.kind &&
    keys.length === Object.keys(other.settings).length &&
    keys.every((key) => Object.is(one.settings[key], other.settings[key]))
  )
}
