import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  CACHE_BYTES,
  CLASS_2048,
  CLASS_4096,
  CLASS_65536,
  type Code,
  type FrameClass,
  type Region,
  type RegionKind,
  type Space,
  type WorkerPool,
} from '../memory/index.js'
import {
  ARRIVALS_BURSTS,
  ARRIVALS_CONSTANT,
  ARRIVALS_POISSON,
  ARRIVALS_RECORDED,
  GENERATOR_ARRIVALS,
  GENERATOR_BURST,
  GENERATOR_BURST_LEFT,
  GENERATOR_BYTES_MADE,
  GENERATOR_CACHE,
  GENERATOR_DUE,
  GENERATOR_IN_TURN,
  GENERATOR_INTERVAL,
  GENERATOR_LEFT_OUT,
  GENERATOR_MADE,
  GENERATOR_MOST,
  GENERATOR_NEXT_SLOT,
  GENERATOR_RANDOM,
  GENERATOR_RANGE_COUNT,
  GENERATOR_RANGES,
  GENERATOR_RUN,
  GENERATOR_SLACK,
  GENERATOR_SLOT_COUNT,
  GENERATOR_SLOTS,
  GENERATOR_STAMPED,
  GENERATOR_START,
  GENERATOR_STATE_BYTES,
  GENERATOR_STOCK,
  GENERATOR_TEMPLATES,
  GENERATOR_UNSTAMPED,
} from './formats.js'
import { writeTemplates } from './plan-tables.js'
import type { Template } from './template.js'
import { UNSTAMPED } from './unstamped.js'

/**
 * When packets are due. `constant`: at equal gaps; `poisson`: at random, with
 * that mean; `bursts`: so many at once, at equal gaps of bursts; `recorded`: by
 * the gap of each template.
 */
export type Arrivals = 'constant' | 'poisson' | 'bursts' | 'recorded'

const ARRIVALS: Readonly<Record<Arrivals, number>> = {
  constant: ARRIVALS_CONSTANT,
  poisson: ARRIVALS_POISSON,
  bursts: ARRIVALS_BURSTS,
  recorded: ARRIVALS_RECORDED,
}

/** What is to be sent, as a plain value. */
export interface TrafficPlan {
  readonly templates: readonly Template[]
  /** One after the other, each once a turn; or drawn by weight for each packet. */
  readonly isInTurn: boolean
  readonly arrivals: Arrivals
  /** Mean; infinite for as fast as it goes. Not looked at where arrivals are recorded. */
  readonly packetsPerSecond: number
  /** Packets of a burst. */
  readonly burst?: number
  /** Up to 2^32 - 1, which is what sequence numbers count. */
  readonly mostPackets: number
  /** Of all random numbers: the same seed draws the same packets and gaps. */
  readonly seed: number
  /** Tells one run from another at the other end: 16 bits. */
  readonly run: number
}

export interface Generated {
  /** Packets and bytes that were made; what a device has not taken yet is among them. */
  readonly packets: number
  readonly bytes: number
  /** Packets whose time went by while nothing could be sent. */
  readonly leftOut: number
  /** Packets that carry a stamp, of which the other end can tell; the others by reason. */
  readonly stamped: number
  readonly unstamped: Readonly<Record<string, number>>
}

/** Makes packets in frames of the pool. */
export interface Generator {
  /** Appends what is due at `nowNs`, counted from the start, to the bundle; gives how many. */
  make(bundle: number, nowNs: number): number
  /** The clock at the start, which stamps count from. */
  begin(clockNs: number): void
  /** When the next packet is due, counted from the start; infinite where all have been made. */
  dueNs(): number
  statistics(): Generated
  close(): void
}

/**
 * A generator that stood still makes up for so many packets at once, of a time
 * within these bounds, and leaves out what it missed before.
 */
const SLACK_PACKETS = 256
const LEAST_SLACK_NS = 10e6
const MOST_SLACK_NS = 100e6
/** More would be one table of 256 KiB; weights are made smaller before. */
const MOST_SLOTS = 65_536

/** Puts the plan into the memory. Throws LayoutError where it has no room, RangeError for a plan without packets. */
export function openGenerator(space: Space, code: Code, pool: WorkerPool, name: string, plan: TrafficPlan): Generator {
  const regions: Region[] = []
  const reserve = (what: string, kind: RegionKind, bytes: number) => {
    const region = space.reserve({ name: `generator ${name} ${what}`, kind, bytes })
    regions.push(region)
    return region.offset
  }
  const state = reserve('state', 'state', GENERATOR_STATE_BYTES)
  const stock = reserve('stock', 'bundle', BUNDLE_BYTES)
  const { templates, ranges, rangeCount } = writeTemplates(space, reserve, plan.templates)
  const slots = chooseSlots(plan)
  const slotsAt = reserve('slots', 'table', slots.length * 4)
  space.words.set(slots, slotsAt / 4)
  writeState(space, state, plan)
  const words: Readonly<Record<number, number>> = {
    [GENERATOR_TEMPLATES]: templates,
    [GENERATOR_RANGES]: ranges,
    [GENERATOR_RANGE_COUNT]: rangeCount,
    [GENERATOR_SLOTS]: slotsAt,
    [GENERATOR_SLOT_COUNT]: slots.length,
    [GENERATOR_STOCK]: stock,
    [GENERATOR_CACHE]: pool.address + CLASS_NUMBERS[frameClassFor(plan.templates)] * CACHE_BYTES,
  }
  for (const [field, value] of Object.entries(words)) space.words[(state + Number(field)) / 4] = value
  const generate = code.find('generate')
  const counter = (field: number) => space.counters[(state + field) / 8]!
  return {
    make: (bundle, nowNs) => generate(state, bundle, nowNs) as number,
    begin(clockNs) {
      space.counters[(state + GENERATOR_START) / 8] = clockNs
    },
    dueNs: () =>
      counter(GENERATOR_MADE) < counter(GENERATOR_MOST) ? counter(GENERATOR_DUE) : Number.POSITIVE_INFINITY,
    statistics: () => ({
      packets: counter(GENERATOR_MADE),
      bytes: counter(GENERATOR_BYTES_MADE),
      leftOut: counter(GENERATOR_LEFT_OUT),
      stamped: counter(GENERATOR_STAMPED),
      unstamped: Object.fromEntries(
        UNSTAMPED.map((reason, index) => [reason, counter(GENERATOR_UNSTAMPED + index * 8)] as const).filter(
          ([, packets]) => packets > 0,
        ),
      ),
    }),
    close() {
      pool.give(stock + BUNDLE_DESCRIPTORS, space.words[stock / 4]!)
      for (const region of regions) space.free(region.name)
    },
  }
}

type SentClass = Exclude<FrameClass, 512 | 524288>

const CLASS_NUMBERS: Readonly<Record<SentClass, number>> = { 2048: CLASS_2048, 4096: CLASS_4096, 65536: CLASS_65536 }

/** What a frame of the pool holds of a packet at least, behind its headroom. */
const CAPACITY: readonly (readonly [SentClass, number])[] = [
  [2048, 1708],
  [4096, 3500],
  [65536, 65_390],
]

/** The smallest class of frames that holds every template. Throws RangeError where none does. */
export function frameClassFor(templates: readonly Template[]): SentClass {
  const longest = templates.reduce((most, { bytes }) => Math.max(most, bytes.length), 0)
  const fit = CAPACITY.find(([, bytes]) => bytes >= longest)
  if (fit === undefined) throw new RangeError(`a packet of ${longest} bytes fits into no frame; leave it out`)
  return fit[0]
}

/** The order in which templates come, or what is drawn from: each as often as its weight says. */
function chooseSlots({ templates, isInTurn }: TrafficPlan): number[] {
  if (templates.length === 0) throw new RangeError('there is no packet to send; give at least one')
  if (isInTurn) return templates.map((_, index) => index)
  const total = templates.reduce((sum, { weight }) => sum + weight, 0)
  const scale = Math.min(1, MOST_SLOTS / total)
  return templates.flatMap(({ weight }, index) =>
    new Array<number>(Math.max(1, Math.round(weight * scale))).fill(index),
  )
}

function writeState({ words, counters }: Space, state: number, plan: TrafficPlan): void {
  const { packetsPerSecond, burst = 1, arrivals } = plan
  counters[(state + GENERATOR_INTERVAL) / 8] = arrivals === 'recorded' ? 0 : 1e9 / packetsPerSecond
  const slack = (Math.max(SLACK_PACKETS, burst) * 1e9) / packetsPerSecond
  counters[(state + GENERATOR_SLACK) / 8] = Math.min(MOST_SLACK_NS, Math.max(LEAST_SLACK_NS, slack))
  counters[(state + GENERATOR_MOST) / 8] = Math.min(plan.mostPackets, 2 ** 32 - 1)
  const fields: Readonly<Record<number, number>> = {
    [GENERATOR_RANDOM]: plan.seed,
    [GENERATOR_ARRIVALS]: ARRIVALS[arrivals],
    [GENERATOR_BURST]: burst,
    [GENERATOR_BURST_LEFT]: burst,
    [GENERATOR_IN_TURN]: plan.isInTurn ? 1 : 0,
    [GENERATOR_NEXT_SLOT]: 0,
    [GENERATOR_RUN]: plan.run,
  }
  for (const [field, value] of Object.entries(fields)) words[(state + Number(field)) / 4] = value
}
