import { randomFillSync, randomInt } from 'node:crypto'
import type { Code, Space } from '../memory/index.js'
import { IDENTIFY_COUNT, IDENTIFY_LOWEST, IDENTIFY_TAKEN } from '../route/index.js'
import {
  BUCKET_BYTES,
  BUCKET_SLOTS,
  COUNT_CREATED,
  COUNT_CROWDED,
  COUNT_EVICTED,
  COUNT_EXPIRED,
  COUNT_FRAGMENTS,
  COUNT_REFUSED,
  COUNT_REPLACED,
  FLOW_BYTES,
  FLOW_DEADLINE,
  FLOWS_ACTIVE,
  FLOWS_BUCKET_MASK,
  FLOWS_BUCKETS,
  FLOWS_BYTES,
  FLOWS_CAPACITY,
  FLOWS_CLOCK,
  FLOWS_COUNTERS,
  FLOWS_FRAGMENTS,
  FLOWS_FREE,
  FLOWS_IDENTIFY,
  FLOWS_KEY,
  FLOWS_MOST_RETRANSMITTED,
  FLOWS_NEXT_STATE,
  FLOWS_OWNER,
  FLOWS_OWNERS,
  FLOWS_PUBLISHES,
  FLOWS_RECORDS,
  FLOWS_RULE_COUNT,
  FLOWS_RULES,
  FLOWS_SETTINGS,
  FLOWS_SWEEP,
  FLOWS_TIMEOUTS,
  MOST_FLOWS,
  SETTING_CHECKSUMS,
  SETTING_EVICT,
  SETTING_LIBERAL,
  SETTING_LOOSE,
  TICK_MS,
} from './formats.js'
import { type FragmentsOptions, fragmentsBytes, writeFragments } from './fragments.js'
import { listFlows, type TrackedFlow } from './list.js'
import { type NatRule, natBytes, writeNat } from './nat.js'
import { nextStates, TIMEOUT_NUMBERS, TIMEOUTS_SECONDS, type Timeouts } from './settings.js'

export interface FlowsOptions {
  /** Flows there is room for, 1 to 4,194,304; each takes 192 bytes, and 32 to 64 in buckets. 65,536 where it is not said. */
  readonly flows?: number
  /** Seconds without a packet; Linux's where they are not said. */
  readonly timeouts?: Partial<Timeouts>
  /**
   * What a full table does with a packet that would open a flow. `refuse new`:
   * drops it. `drop unreplied`, which is taken where nothing is said: forgets a
   * flow that is not assured, one without an answer before one with an answer;
   * assured flows are kept, whatever comes.
   */
  readonly whenFull?: 'refuse new' | 'drop unreplied'
  /** Whether TCP connections are picked up whose begin was not seen; they are where it is not said. */
  readonly loose?: boolean
  /** Whether only RST is invalid of what is out of the window. */
  readonly liberal?: boolean
  /** Acknowledgements that repeat before a connection lives shorter; 3 where it is not said. */
  readonly mostRetransmitted?: number
  /** `verify`: packets with a wrong checksum are invalid. `trust`, where it is not said: that is somebody else's work. */
  readonly checksums?: 'verify' | 'trust'
  /** What is translated: `track` does destinations, `translate` sources, and both need `routes`. Nothing where it is not said. */
  readonly nat?: readonly NatRule[]
  /**
   * Which of so many workers, each with a table of its own, has this one: `owner`
   * shares packets out to them, and sources are translated so that what answers
   * them finds the same. The first of one where it is not said; all need the same rules.
   */
  readonly owner?: FlowsOwner
  /** How fragments find the flow of their datagram. */
  readonly fragments?: FragmentsOptions
  /** Milliseconds that only grow; `performance.now` where it is not said. */
  readonly now?: () => number
}

/** A worker among those that share flows out, from 0 on. */
export interface FlowsOwner {
  readonly number: number
  readonly count: number
}

/** What has happened to a table since it was opened. */
export interface FlowsStatistics {
  readonly active: number
  readonly capacity: number
  readonly created: number
  readonly expired: number
  /** Forgotten to make room. */
  readonly evicted: number
  /** Packets that would have opened a flow, and were dropped: the table was full; both buckets of their key were. */
  readonly refused: number
  readonly crowded: number
  /** Closed connections that a SYN has opened anew. */
  readonly replaced: number
  /** Fragments that have come, and errors about such of which no flow is known. */
  readonly fragments: number
}

/** A connection table in linear memory, which one worker uses. */
export interface Flows {
  readonly name: string
  /** Address of its head: `FLOWS_…` of flow/formats.ts. */
  readonly address: number
  /** Whether there are rules of translation. */
  readonly translates: boolean
  /** Whether fragments are tracked, and where: `DATAGRAMS_…` of flow/fragment-formats.ts. */
  readonly gathers: boolean
  readonly fragments: number
  /** Where the stage `fragment` gets identifications from, for what leaves by a translated source. */
  readonly identify: number
  readonly owner: FlowsOwner
  statistics(): FlowsStatistics
  /** The flows as they are: slow, for people and tests. */
  list(): readonly TrackedFlow[]
  /** Sets the clock, and forgets some of what has expired: once a round. */
  tick(): void
  close(): void
}

/** All flows are looked at once in so many ticks, and so many of them in one round at most. */
const SWEEP_TICKS = 64
const MOST_SWEPT = 4096
const IDENTIFICATIONS = 0x10000

/** Opens a table; throws LayoutError, and RangeError where `flows` is out of its range. */
export function openFlows(space: Space, code: Code, name: string, options: FlowsOptions = {}): Flows {
  const { flows: capacity = 65_536, nat = [], owner = { number: 0, count: 1 } } = options
  const { now = () => performance.now() } = options
  if (!(capacity >= 1 && capacity <= MOST_FLOWS))
    throw new RangeError(`a table of ${capacity} flows is not possible; ask for 1 to ${MOST_FLOWS}`)
  // Two entries a flow, and half of the slots stay free.
  const buckets = 2 ** Math.max(1, Math.ceil(Math.log2((capacity * 4) / BUCKET_SLOTS)))
  const gathered = fragmentsBytes(options.fragments)
  const regions = reserveAll(space, name, capacity, buckets, { rules: natBytes(nat), fragments: gathered })
  const { head } = regions
  writeHead(space, regions, capacity, buckets, options)
  const { words } = space
  words[(head + FLOWS_RULES) / 4] = regions.rules
  words[(head + FLOWS_RULE_COUNT) / 4] = writeNat(space, regions.rules, nat)
  words[(head + FLOWS_PUBLISHES) / 4] = Number(nat.some(({ kind }) => kind === 'destination'))
  words[(head + FLOWS_OWNERS) / 4] = owner.count
  words[(head + FLOWS_OWNER) / 4] = owner.number
  words[(head + FLOWS_FRAGMENTS) / 4] = regions.fragments
  if (gathered > 0) writeFragments(space, regions.fragments, options.fragments)
  writeIdentify(space, head + FLOWS_IDENTIFY, owner)
  const sweep = code.find('flowsSweep')
  const begin = now()
  let isOpen = true
  return {
    name,
    address: head,
    translates: nat.length > 0,
    gathers: gathered > 0,
    fragments: regions.fragments,
    identify: head + FLOWS_IDENTIFY,
    owner,
    statistics: () => flowsStatistics(space, head),
    list: () => listFlows(space, head),
    tick() {
      const clock = 1 + Math.floor((now() - begin) / TICK_MS)
      const passed = clock - words[(head + FLOWS_CLOCK) / 4]!
      if (passed === 0) return
      words[(head + FLOWS_CLOCK) / 4] = clock
      const count = Math.min(MOST_SWEPT, capacity, Math.ceil((capacity * passed) / SWEEP_TICKS))
      words[(head + FLOWS_SWEEP) / 4] = sweep(head, words[(head + FLOWS_SWEEP) / 4]!, count) as number
    },
    close() {
      if (!isOpen) return
      isOpen = false
      for (const region of regions.names) space.free(region)
    },
  }
}

/** What has happened to the table whose head is at that address, from any thread. */
export function flowsStatistics({ words, counters }: Space, head: number): FlowsStatistics {
  const counted = (at: number) => counters[(head + FLOWS_COUNTERS + at) / 8]!
  return {
    active: words[(head + FLOWS_ACTIVE) / 4]!,
    capacity: words[(head + FLOWS_CAPACITY) / 4]!,
    created: counted(COUNT_CREATED),
    expired: counted(COUNT_EXPIRED),
    evicted: counted(COUNT_EVICTED),
    refused: counted(COUNT_REFUSED),
    crowded: counted(COUNT_CROWDED),
    replaced: counted(COUNT_REPLACED),
    fragments: counted(COUNT_FRAGMENTS),
  }
}

interface Regions {
  readonly head: number
  readonly buckets: number
  readonly records: number
  /** 0 where there are none. */
  readonly rules: number
  readonly fragments: number
  readonly names: readonly string[]
}

function reserveAll(
  space: Space,
  name: string,
  capacity: number,
  buckets: number,
  bytes: { readonly rules: number; readonly fragments: number },
): Regions {
  const names: string[] = []
  const reserve = (what: string, bytes: number) => {
    const region = space.reserve({ name: `flows ${name} ${what}`, kind: 'table', bytes })
    names.push(region.name)
    return region.offset
  }
  try {
    return {
      head: reserve('head', FLOWS_BYTES),
      buckets: reserve('buckets', buckets * BUCKET_BYTES),
      records: reserve('records', capacity * FLOW_BYTES),
      rules: bytes.rules === 0 ? 0 : reserve('rules', bytes.rules),
      fragments: bytes.fragments === 0 ? 0 : reserve('fragments', bytes.fragments),
      names,
    }
  } catch (error) {
    for (const region of names) space.free(region)
    throw error
  }
}

function writeHead(
  { words, bytes }: Space,
  { head, buckets: bucketsAt, records }: Regions,
  capacity: number,
  buckets: number,
  options: FlowsOptions,
): void {
  const { whenFull = 'drop unreplied', loose = true, liberal = false, checksums = 'trust', timeouts = {} } = options
  const write = (field: number, value: number) => {
    words[(head + field) / 4] = value
  }
  write(FLOWS_RECORDS, records)
  write(FLOWS_BUCKETS, bucketsAt)
  write(FLOWS_BUCKET_MASK, buckets - 1)
  write(FLOWS_CAPACITY, capacity)
  write(FLOWS_FREE, records)
  write(FLOWS_CLOCK, 1)
  write(FLOWS_MOST_RETRANSMITTED, options.mostRetransmitted ?? 3)
  write(
    FLOWS_SETTINGS,
    (loose ? SETTING_LOOSE : 0) |
      (liberal ? SETTING_LIBERAL : 0) |
      (checksums === 'verify' ? SETTING_CHECKSUMS : 0) |
      (whenFull === 'drop unreplied' ? SETTING_EVICT : 0),
  )
  const seconds = { ...TIMEOUTS_SECONDS, ...timeouts }
  for (const [state, number] of Object.entries(TIMEOUT_NUMBERS))
    write(FLOWS_TIMEOUTS + number * 4, Math.ceil((seconds[state as keyof Timeouts] * 1000) / TICK_MS))
  // A random source that may be used once: not into shared memory.
  bytes.set(randomFillSync(new Uint8Array(16)), head + FLOWS_KEY)
  bytes.set(nextStates(), head + FLOWS_NEXT_STATE)
  for (let flow = 0; flow < capacity; flow++)
    words[(records + flow * FLOW_BYTES + FLOW_DEADLINE) / 4] =
      flow + 1 < capacity ? records + (flow + 1) * FLOW_BYTES : 0
}

/** Each of several workers has a part of all identifications, so that what leaves by one address never shares one soon. */
function writeIdentify({ words }: Space, identify: number, { number, count }: FlowsOwner): void {
  const share = Math.floor(IDENTIFICATIONS / count)
  words[(identify + IDENTIFY_TAKEN) / 4] = randomInt(share)
  words[(identify + IDENTIFY_LOWEST) / 4] = number * share
  words[(identify + IDENTIFY_COUNT) / 4] = share
}
