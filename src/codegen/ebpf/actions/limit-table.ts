import {
  alu64,
  atomic,
  call,
  exit,
  helperId,
  type Item,
  jump,
  jumpIf,
  label,
  load,
  loadMapValue,
  loadWide,
  type MapSpec,
  mov64,
  POLICY_STATE,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  R7,
  R8,
  R9,
  R10,
  type Register,
  RULE_BUCKETS,
  STATE,
  store,
} from '../../../ebpf/index.js'
import type { LimitKey } from './action.js'
import { TIME_SHIFT, takeTokens } from './bucket.js'
import { MULTIPLIER, mix, mixKey } from './limit-key.js'
import { type Parts, type PolicyLayout, STATE_MAP } from './parts.js'

/**
 * Buckets by key, in one array value: lines of 64 bytes (a cache line) with
 * four tags and then the four buckets. A key has three lines that its hash
 * names, so that a table half full has room for one key more, all but always. A tag is the whole 64-bit hash, which begins with a secret and the
 * rule's slot; that two keys share one is as likely as a memory error.
 */
export const LIMIT_TABLE = 'limit_table'

const LINE_SHIFT = 6
const WAYS = 4
const STATES = WAYS * 8
const MMAPABLE = 1 << 10

/** Locals of the function. */
const STACK = { cost: -8, window: -16 } as const

/** The keys' buckets; kept while programs are swapped. Mappable only because that aligns its lines. */
export function limitTableMap({ limitTable }: PolicyLayout): MapSpec {
  const valueBytes = limitTable.entries * 16
  return { name: LIMIT_TABLE, kind: 'array', keyBytes: 4, valueBytes, maxEntries: 1, flags: MMAPABLE }
}

/** The rules' buckets; kept while programs are swapped. */
export function ruleBucketMap({ slots }: PolicyLayout): MapSpec {
  return { name: RULE_BUCKETS, kind: 'array', keyBytes: 4, valueBytes: slots * 8, maxEntries: 1 }
}

/** The name of the function that asks limits by `key`. */
export function nameOfKey(key: LimitKey): string {
  return 'ipv4Bits' in key ? `limit ${key.kind} ${key.ipv4Bits} ${key.ipv6Bits}` : `limit ${key.kind}`
}

/** bool isOver(frame, end of the frame, slot, cost, window). */
export function limitFunction(parts: Parts, key: LimitKey): Item[] {
  parts.useMap(ruleBucketMap(parts.layout))
  return [
    store('u64', R10, STACK.cost, R4),
    store('u64', R10, STACK.window, R5),
    mov64(R6, R1),
    mov64(R7, R2),
    mov64(R8, R3),
    ...(key.kind === 'rule' ? [...readClock(), ...ruleBucket(parts)] : takeFromTable(parts, key)),
    label('take'),
    load('u64', R8, R10, STACK.cost),
    load('u64', R9, R10, STACK.window),
    ...takeTokens(R6, R8, R7, R9),
  ]
}

/** R7 = now, as buckets count it. */
function readClock(): Item[] {
  return [call(helperId('bpf_ktime_get_ns')), alu64('lsh', R0, TIME_SHIFT), mov64(R7, R0)]
}

/** R6 = the rule's bucket; R8 is the slot. */
function ruleBucket({ layout }: Parts): Item[] {
  return [
    mov64(R0, 1),
    jumpIf(R8, '>=', layout.slots, 'end'),
    alu64('lsh', R8, 3),
    loadMapValue(R6, RULE_BUCKETS),
    alu64('add', R6, R8),
    jump('take'),
    label('end'),
    exit(),
  ]
}

/** R6 = the key's bucket, found or claimed. R6 the frame, R7 its end, R8 the slot; R9 becomes the tag, R7 the time. */
function takeFromTable(parts: Parts, key: Exclude<LimitKey, { kind: 'rule' }>): Item[] {
  parts.useMap(limitTableMap(parts.layout))
  parts.useMap(STATE_MAP)
  const { entries } = parts.layout.limitTable
  return [
    loadMapValue(R1, POLICY_STATE),
    load('u64', R9, R1, STATE.seed),
    loadWide(R5, MULTIPLIER),
    ...mix(R9, R8),
    mov64(R1, R6),
    ...mixKey(key, R9),
    // Once more with nothing new: addresses that follow each other are to be strangers in all bits.
    mov64(R4, 0),
    ...mix(R9, R4),
    // Tag 0 is an entry that nobody has had.
    jumpIf(R9, '!=', 0, 'tagged'),
    mov64(R9, 1),
    label('tagged'),
    ...readClock(),
    ...threeLines(Math.log2(entries / WAYS)),
    ...eachWay((line, way) => [...pointTo(line, way), load('u64', R0, R6, 0), jumpIf(R0, '==', R9, 'found')]),
    ...eachWay(claim),
    loadMapValue(R3, POLICY_STATE),
    mov64(R4, 1),
    atomic('add', 'u64', R3, STATE.tableFull, R4),
    ...whenTableIsFull(parts),
    label('found'),
    alu64('add', R6, STATES),
  ]
}

const LINES = [
  { line: R1, hashFrom: 0 },
  { line: R2, hashFrom: 32 },
  { line: R3, hashFrom: 16 },
] as const

/** R1, R2 and R3 = the lines that `bits` of the hash name, from three places in it. */
function threeLines(bits: number): Item[] {
  const lines = LINES.flatMap(({ line, hashFrom }) => [
    mov64(line, R9),
    ...(hashFrom === 0 ? [] : [alu64('lsh', line, hashFrom)]),
    alu64('rsh', line, 64 - bits),
    alu64('lsh', line, LINE_SHIFT),
    alu64('add', line, R4),
  ])
  return [loadMapValue(R4, LIMIT_TABLE), ...lines]
}

function eachWay(body: (line: Register, way: number) => Item[]): Item[] {
  return LINES.flatMap(({ line }) => Array.from({ length: WAYS }, (_, way) => body(line, way)).flat())
}

function pointTo(line: Register, way: number): Item[] {
  return [mov64(R6, line), ...(way === 0 ? [] : [alu64('add', R6, way * 8)])]
}

/**
 * Takes an entry over whose bucket is full, which is to say that forgetting it
 * changes nothing for its key. The tag is read before the bucket, so that an
 * entry which another CPU claims in between is not claimed again. Where that
 * CPU has claimed it for the same key it is the key's, which only a tag shows
 * that is read after the bucket.
 */
function claim(line: Register, way: number): Item[] {
  const [busy, next] = [`busy ${line.index} ${way}`, `next ${line.index} ${way}`]
  return [
    ...pointTo(line, way),
    load('u64', R0, R6, 0),
    load('u64', R4, R6, STATES),
    jumpIf(R4, 's>', R7, busy),
    mov64(R4, R0),
    mov64(R5, R9),
    atomic('cmpxchg', 'u64', R6, 0, R5),
    jumpIf(R0, '==', R4, 'found'),
    jump(next),
    label(busy),
    load('u64', R0, R6, 0),
    label(next),
    jumpIf(R0, '==', R9, 'found'),
  ]
}

function whenTableIsFull(parts: Parts): Item[] {
  switch (parts.layout.limitTable.whenFull) {
    case 'share':
      return ruleBucket(parts)
    case 'drop':
      return [mov64(R0, 1), exit()]
    case 'replace':
      return replaceEntry()
  }
}

/** R6 = the entry whose bucket would be full first, of the nearer line: its key begins anew when it comes back. */
function replaceEntry(): Item[] {
  return [
    mov64(R6, R1),
    load('u64', R0, R1, STATES),
    ...Array.from({ length: WAYS - 1 }, (_, index) => index + 1).flatMap((way) => [
      load('u64', R3, R1, STATES + way * 8),
      jumpIf(R3, 's>=', R0, `older than ${way}`),
      mov64(R0, R3),
      ...pointTo(R1, way),
      label(`older than ${way}`),
    ]),
    store('u64', R6, 0, R9),
    store('u64', R6, STATES, R7),
  ]
}
