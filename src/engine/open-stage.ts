import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS, type Code, type Space, type WorkerPool } from '../memory/index.js'
import type { StageStatistics } from './engine.js'
import type { KeptPacket, Stage, StageHost } from './stage.js'

/** A stage of a running graph, with its counters and what it leads to. */
export interface OpenStage {
  readonly stage: Stage
  /** Says where the outputs lead, in their order. */
  lead(targets: readonly OpenStage[]): void
  targets(): readonly OpenStage[]
  /** Takes a bundle through this stage and all behind it; the bundle is empty then. */
  take(bundle: number, isWatched: boolean): void
  /** Lets the stage give what it kept, and takes that on. */
  flush(bundle: number, isWatched: boolean): void
  /** At the begin of a round, too. */
  readonly flushesFirst: boolean
  /** Packets that wait in it; null where it does not tell. */
  kept(): readonly KeptPacket[] | null
  readonly place: StagePlace
  close(): void
}

/** Where the counters of a stage lie: enough for any thread to read them, without the stage's noticing. */
export interface StagePlace {
  readonly name: string
  readonly drops: readonly string[]
  /** Address of its counters, f64 each. */
  readonly counters: number
}

/** What a stage has done since it was started. */
export function readStage({ counters }: Space, { name, drops, counters: address }: StagePlace): StageStatistics {
  const at = address / 8
  return statisticsOf({
    name,
    packets: counters[at + COUNTERS.packets]!,
    bundles: counters[at + COUNTERS.bundles]!,
    drops: Object.fromEntries(drops.map((reason, order) => [reason, counters[at + COUNTERS.drops + order]!])),
    watched: { packets: counters[at + COUNTERS.watchedPackets]!, ms: counters[at + COUNTERS.watchedMs]! },
  })
}

/** What two stages of one name have done together, one after the other. */
export function addStatistics(one: StageStatistics, other: StageStatistics): StageStatistics {
  const drops: Record<string, number> = { ...one.drops }
  for (const [reason, count] of Object.entries(other.drops)) drops[reason] = (drops[reason] ?? 0) + count
  return statisticsOf({
    name: one.name,
    packets: one.packets + other.packets,
    bundles: one.bundles + other.bundles,
    drops,
    watched: { packets: one.watched.packets + other.watched.packets, ms: one.watched.ms + other.watched.ms },
  })
}

function statisticsOf(counts: Omit<StageStatistics, 'packetsPerBundle' | 'nanosecondsPerPacket'>): StageStatistics {
  const { packets, bundles, watched } = counts
  return {
    ...counts,
    packetsPerBundle: bundles === 0 ? 0 : packets / bundles,
    nanosecondsPerPacket: watched.packets === 0 ? null : (watched.ms * 1e6) / watched.packets,
  }
}

/** Counters of a stage, f64 each; its drops by reason stand behind them. */
const COUNTERS = { packets: 0, bundles: 1, watchedPackets: 2, watchedMs: 3, drops: 4 } as const
const COUNTER_BYTES = 8

/** Owner bytes 0 and 1 mean nobody and not said. */
const FIRST_OWNER = 2

/** Starts a stage; `title` begins the names of its regions, `index` is what the checked build calls it. */
export function openStage(
  space: Space,
  code: Code,
  pool: WorkerPool,
  stage: Stage,
  title: string,
  index: number,
): OpenStage {
  const { words, counters } = space
  const names: string[] = []
  const reserve: StageHost['reserve'] = (what, kind, bytes) => {
    const region = space.reserve({ name: `${title} ${what}`, kind, bytes })
    names.push(region.name)
    return region.offset
  }
  const release = () => {
    for (const name of names) space.free(name)
  }
  const at = reserve('counters', 'counters', (COUNTERS.drops + stage.drops.length) * COUNTER_BYTES) / COUNTER_BYTES
  const outputs = stage.outputs.map((output, order) => (order === 0 ? 0 : reserve(output, 'bundle', BUNDLE_BYTES)))
  const countOf = (bundle: number) => words[bundle >>> 2]!
  const dropAll = (bundle: number, reason: number) => {
    const count = countOf(bundle)
    if (count === 0) return
    pool.give(bundle + BUNDLE_DESCRIPTORS, count)
    counters[at + COUNTERS.drops + reason]! += count
    words[bundle >>> 2] = 0
  }
  const running = start()
  let targets: readonly OpenStage[] = []

  function start() {
    const drops = (at + COUNTERS.drops) * COUNTER_BYTES
    try {
      return stage.start({ space, code, pool, outputs, drops, reserve, dropAll })
    } catch (error) {
      release()
      throw error
    }
  }

  /** What stands in the outputs goes on; the first output is the bundle itself. */
  function hand(bundle: number, isWatched: boolean): void {
    for (let output = 1; output < targets.length; output++) {
      if (countOf(outputs[output]!) > 0) targets[output]!.take(outputs[output]!, isWatched)
    }
    if (targets.length > 0 && countOf(bundle) > 0) targets[0]!.take(bundle, isWatched)
  }

  function drain(bundle: number, isWatched: boolean): void {
    if (running.hasMore === undefined) return
    while (running.hasMore()) {
      running.run(bundle)
      hand(bundle, isWatched)
    }
  }

  function runWatched(bundle: number, count: number): void {
    const begin = performance.now()
    running.run(bundle)
    counters[at + COUNTERS.watchedMs]! += performance.now() - begin
    counters[at + COUNTERS.watchedPackets]! += count
  }

  const check = code.checked ? code.find('poolCheck') : null
  return {
    stage,
    place: { name: stage.name, drops: stage.drops, counters: at * COUNTER_BYTES },
    lead(next) {
      targets = next
    },
    targets: () => targets,
    flushesFirst: running.flushesFirst ?? false,
    kept: () => running.kept?.() ?? null,
    take(bundle, isWatched) {
      check?.(pool.address, bundle, Math.min(255, index + FIRST_OWNER))
      const count = countOf(bundle)
      counters[at + COUNTERS.packets]! += count
      counters[at + COUNTERS.bundles]! += 1
      if (isWatched) runWatched(bundle, count)
      else running.run(bundle)
      hand(bundle, isWatched)
      drain(bundle, isWatched)
    },
    flush(bundle, isWatched) {
      if (running.flush === undefined) return
      running.flush(bundle)
      hand(bundle, isWatched)
      drain(bundle, isWatched)
    },
    close() {
      running.close?.()
      release()
    },
  }
}
