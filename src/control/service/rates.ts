import type { StageStatistics } from '../../engine/index.js'
import type { DeviceQueue, EngineStages, ListedRule } from './protocol.js'

/** What a rule has met between two looks. */
export interface RuleRate {
  readonly name: string
  readonly action: string
  readonly mode: string
  readonly packetsPerSecond: number
  readonly bytesPerSecond: number
  /** Of those, beyond a limit. */
  readonly overPerSecond: number
  readonly packets: number
  readonly bytes: number
}

/** What a stage has done between two looks. */
export interface StageRate {
  readonly engine: string
  readonly stage: string
  readonly packetsPerSecond: number
  readonly bundlesPerSecond: number
  /** Between the looks; null where no bundle came. */
  readonly packetsPerBundle: number | null
  /** Of the packets that came between the looks; null where none did. */
  readonly nanosecondsPerPacket: number | null
  readonly dropsPerSecond: Readonly<Record<string, number>>
  readonly packets: number
  readonly drops: Readonly<Record<string, number>>
}

/** The busiest first. A rule that was not there before has met all it has counted. */
export function ruleRates(before: readonly ListedRule[], after: readonly ListedRule[], seconds: number): RuleRate[] {
  const earlier = new Map(before.map((rule) => [rule.name, rule]))
  return after
    .map(({ name, action, mode, packets, bytes, overPackets }) => {
      const rate = (now: number, then = 0) => Math.max(0, now - then) / seconds
      const old = earlier.get(name)
      return {
        name,
        action,
        mode,
        packetsPerSecond: rate(packets, old?.packets),
        bytesPerSecond: rate(bytes, old?.bytes),
        overPerSecond: rate(overPackets, old?.overPackets),
        packets,
        bytes,
      }
    })
    .sort((one, other) => other.packetsPerSecond - one.packetsPerSecond || other.packets - one.packets)
}

/** In the order of the graph. A stage that another graph has begun with between the looks has done what it says. */
export function stageRates(
  before: readonly EngineStages[],
  after: readonly EngineStages[],
  seconds: number,
): StageRate[] {
  const earlier = new Map(
    before.flatMap(({ name, stages }) => stages.map((stage) => [keyOf(name, stage), stage] as const)),
  )
  return after.flatMap(({ name, stages }) =>
    stages.map((stage) => {
      const then = earlier.get(keyOf(name, stage))
      const old = then !== undefined && then.packets <= stage.packets ? then : undefined
      const packets = stage.packets - (old?.packets ?? 0)
      const bundles = stage.bundles - (old?.bundles ?? 0)
      const watched = stage.watched.packets - (old?.watched.packets ?? 0)
      const watchedMs = stage.watched.ms - (old?.watched.ms ?? 0)
      const drops = Object.entries(stage.drops).map(([reason, count]): [string, number] => {
        return [reason, (count - (old?.drops[reason] ?? 0)) / seconds]
      })
      return {
        engine: name,
        stage: stage.name,
        packetsPerSecond: packets / seconds,
        bundlesPerSecond: bundles / seconds,
        packetsPerBundle: bundles === 0 ? null : packets / bundles,
        nanosecondsPerPacket: watched <= 0 ? null : (watchedMs * 1e6) / watched,
        dropsPerSecond: Object.fromEntries(drops),
        packets: stage.packets,
        drops: stage.drops,
      }
    }),
  )
}

/** What a queue holds, and what it has done between two looks. */
export interface QueueRate {
  readonly device: string
  readonly packets: number
  readonly bytes: number
  /** What the device may have unfinished, in bytes; null without a limit. */
  readonly byteLimit: number | null
  readonly kicksPerSecond: number
  /** Between the looks; null where there was no kick. */
  readonly packetsPerKick: number | null
  readonly bypassedPerSecond: number
  readonly heldBackPerSecond: number
  readonly refusedPerSecond: number
  readonly markedPerSecond: number
}

export function queueRates(
  before: readonly DeviceQueue[],
  after: readonly DeviceQueue[],
  seconds: number,
): QueueRate[] {
  return after.map((queue, at): QueueRate => {
    const old = before[at] ?? queue
    const rate = (field: 'kicks' | 'bypassed' | 'heldBack' | 'refused' | 'marked') =>
      Math.max(0, queue[field] - old[field]) / seconds
    const kicks = queue.kicks - old.kicks
    const kicked = queue.kicks * queue.packetsPerKick - old.kicks * old.packetsPerKick
    return {
      device: queue.name,
      packets: queue.packets,
      bytes: queue.bytes,
      byteLimit: queue.byteLimit,
      kicksPerSecond: rate('kicks'),
      packetsPerKick: kicks <= 0 ? null : Math.round(kicked) / kicks,
      bypassedPerSecond: rate('bypassed'),
      heldBackPerSecond: rate('heldBack'),
      refusedPerSecond: rate('refused'),
      markedPerSecond: rate('marked'),
    }
  })
}

const keyOf = (engine: string, { name }: StageStatistics) => `${engine}\n${name}`
