import {
  assemble,
  BEHIND_PROGRAMS,
  call,
  DIVERT_SOCKETS,
  exit,
  helperId,
  type Item,
  jump,
  label,
  type MapEntry,
  type MapSpec,
  mov64,
  POLICY_COUNTERS,
  POLICY_STATE,
  type PolicyProgram,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R9,
  R10,
  type Register,
  RULE_BUCKETS,
  RULE_ENDS,
  SAMPLES,
  store,
} from '../../ebpf/index.js'
import type { Graph } from '../../ir/index.js'
import { goesOn, type RuleCode } from './actions/action.js'
import { countAndGoOn, countAtEnd } from './actions/count.js'
import { createFoundRules, type FoundRules, renumberRules } from './actions/found-rules.js'
import { checkLifetime } from './actions/lifetime.js'
import { askLimit, endLimit } from './actions/limit.js'
import { LIMIT_TABLE } from './actions/limit-table.js'
import { mark } from './actions/mark.js'
import {
  CONTEXT,
  createParts,
  type Parts,
  type PolicyLayout,
  reloadPacket,
  SLOT_KEY,
  scoped,
  XDP_DROP,
} from './actions/parts.js'
import { FORWARD_DEVICES, redirect, STEER_CPUS } from './actions/redirect.js'
import { sample } from './actions/sample.js'
import { createPlacedTables, type PlacedTables } from './emit-lookup.js'
import { emitNodes, NO_MATCH } from './emit-nodes.js'
import { asksLength } from './emit-xdp.js'
import { WIRE_LENGTH } from './evaluate.js'
import { type SetsByName, setMapsOf } from './set-maps.js'

/** Rules up to and with one behind which the list goes on; leaf `i` of the graph is `rules[i]`. */
export interface Segment {
  /** From `optimizeRules`, which puts every read behind a bounds check. */
  readonly graph: Graph
  readonly rules: readonly RuleCode[]
}

/** How the program sees packets, and what it shares with those before and after it. */
export interface PolicyOptions {
  readonly layout: PolicyLayout
  readonly name?: string
  /** Accept frames of several buffers; a rule sees the first, and lengths count all. False where nothing is said. */
  readonly multiBuffer?: boolean
  /** Writes type, flow hash and rule of what is diverted before the packet (METADATA_… of memory/formats.ts). False where nothing is said. */
  readonly metadata?: boolean
  /** Drops and counts what is diverted from a queue that has no socket; else it passes. False where nothing is said. */
  readonly dropWithoutSocket?: boolean
  /** What the sets hold that the rules name. */
  readonly setContents?: SetsByName
  /**
   * Interface indices of devices at which what passes goes on to a program of
   * their own: to entry `i` of the map BEHIND_PROGRAMS at device `behind[i]`.
   * To the kernel where nothing is said, and where the map has no program.
   */
  readonly behind?: readonly number[]
}

const KEPT = [
  POLICY_COUNTERS,
  RULE_ENDS,
  POLICY_STATE,
  RULE_BUCKETS,
  LIMIT_TABLE,
  SAMPLES,
  DIVERT_SOCKETS,
  STEER_CPUS,
  BEHIND_PROGRAMS,
] as const
/** Packets that a CPU's queue holds, as many as the kernel's own examples choose. */
const CPU_QUEUE = 2048
const LICENSE = 'Dual BSD/GPL'

/** Cuts a list behind each rule that lets the list go on, so that each piece is a list whose first match decides. */
export function cutIntoSegments<Rule>(rules: readonly Rule[], codeOf: (rule: Rule) => RuleCode): Rule[][] {
  const segments: Rule[][] = []
  let current: Rule[] = []
  for (const rule of rules) {
    current.push(rule)
    if (!goesOn(codeOf(rule))) continue
    segments.push(current)
    current = []
  }
  return current.length === 0 ? segments : [...segments, current]
}

/**
 * The XDP program of a policy: its segments one behind the other. In a segment
 * the first rule that matches acts; then the packet is done, or it meets the
 * next segment. What no final rule took passes. Registers: R6 the context, R7
 * the packet, R8 its end, R9 the wire length where a test asks for it.
 * Throws RangeError for a limit that cannot be kept, UnsupportedError for a
 * set whose contents are not given.
 */
export function emitPolicy(segments: readonly Segment[], options: PolicyOptions): PolicyProgram {
  const { layout, name = 'sluice_policy', multiBuffer = false, metadata = false, setContents = new Map() } = options
  const hasLength = segments.some(({ graph }) => graph.nodes.some(asksLength))
  const { parts, maps, functions, endings } = createParts({
    layout,
    multiBuffer,
    writesMetadata: metadata,
    dropsWithoutSocket: options.dropWithoutSocket ?? false,
    hasLength,
    behind: options.behind ?? null,
  })
  const devices = devicesOf(segments)
  const setMaps = new Map<string, MapSpec>()
  const items: Item[] = [mov64(CONTEXT, R1), ...(hasLength ? askWireLength(multiBuffer) : []), ...reloadPacket()]
  if (hasLength && !multiBuffer) items.push(...parts.lengthInto(WIRE_LENGTH))
  const pool = [R0, R1, R2, R3, R4, R5, ...(hasLength ? [] : [R9])]

  const rules = segments.flatMap((segment) => segment.rules)
  const graphs = inOneNumbering(segments)
  const found = createFoundRules(rules, graphs)
  const tables = createPlacedTables(found.encode)
  let isReached = true
  for (let index = 0; index < graphs.length && isReached; index++) {
    const graph = graphs[index]!
    const inSegment = setMapsOf(graph, setContents)
    for (const [map, spec] of inSegment) setMaps.set(map, spec)
    const place = { index, setMaps: inSegment, pool, tables, found }
    const segment = emitSegment(graph, place, (rule, next) => act(parts, rule, next, devices), rules)
    for (const item of segment.items) items.push(item)
    isReached = segment.isLeft
  }
  if (isReached) items.push(...parts.pass())
  items.push(...endings(), ...functions())
  const used = [...maps(), ...setMaps.values(), ...tables.maps(), ...found.maps()]
  const has = new Set(used.map((map) => map.name))
  return {
    name,
    type: 'xdp',
    license: LICENSE,
    ...assemble(withoutDetours(items)),
    maps: used,
    multiBuffer,
    // A rule that no packet can come to has no map.
    entries: entriesOf(segments, devices).filter(({ map }) => has.has(map)),
    kept: KEPT.filter((map) => has.has(map)),
  }
}

interface SegmentPlace {
  readonly index: number
  readonly setMaps: ReadonlyMap<string, MapSpec>
  readonly pool: readonly Register[]
  readonly tables: PlacedTables
  readonly found: FoundRules
}

/** The code of one segment, and whether packets leave it for the next. `actOn` gives what a rule does. */
function emitSegment(
  graph: Graph,
  { index, setMaps, pool, tables, found }: SegmentPlace,
  actOn: (rule: RuleCode, next: string) => Item[],
  rules: readonly RuleCode[],
): { readonly items: Item[]; readonly isLeft: boolean } {
  const items: Item[] = []
  const next = `segment ${index + 1}`
  const scope = `segment ${index}`
  let goesToNext = false
  const canMiss = emitNodes(
    graph,
    pool,
    setMaps,
    (item) => items.push(...scoped([item], scope)),
    (leaf) => {
      const rule = rules[leaf]!
      items.push(store('u32', R10, SLOT_KEY, rule.slot), ...actOn(rule, next))
      goesToNext ||= goesOn(rule)
    },
    {
      tables,
      emitFound() {
        items.push(...found.emitFound(graph, next, (rule) => actOn(rule, next)))
        goesToNext = true
      },
    },
  )
  if (canMiss) items.push(...scoped([label(NO_MATCH)], scope))
  if (goesToNext) items.push(label(next))
  return { items, isLeft: canMiss || goesToNext }
}

function askWireLength(multiBuffer: boolean): Item[] {
  return multiBuffer ? [call(helperId('bpf_xdp_get_buff_len')), mov64(WIRE_LENGTH, R0)] : []
}

/** Rules counted over all segments, so that no two tables hold different rules under one number. */
function inOneNumbering(segments: readonly Segment[]): Graph[] {
  let base = 0
  return segments.map(({ graph, rules }) => {
    const renumbered = renumberRules(graph, base)
    base += rules.length
    return renumbered
  })
}

/** What the rule whose slot is in SLOT_KEY does where it is the first of its segment to match; one that goes on does so at `next`. */
function act(parts: Parts, rule: RuleCode, next: string, devices: readonly number[]): Item[] {
  return [...(rule.hasEnd ? checkLifetime(parts, next) : []), ...carryOut(parts, rule, next, devices)]
}

function carryOut(parts: Parts, { action, isShadow }: RuleCode, next: string, devices: readonly number[]): Item[] {
  if (action.kind === 'limit') {
    const ask = askLimit(parts, action)
    return isShadow ? [...ask, ...countAndGoOn(parts, R0), jump(next)] : [...ask, ...endLimit(parts)]
  }
  if (isShadow) return [...countAndGoOn(parts, null), jump(next)]
  switch (action.kind) {
    case 'pass':
      return [jump(parts.useEnding('pass', () => [...countAtEnd(parts), ...parts.pass()]))]
    case 'drop':
      return [jump(parts.useEnding('drop', () => [...countAtEnd(parts), mov64(R0, XDP_DROP), exit()]))]
    case 'count':
      return [...countAndGoOn(parts, null), jump(next)]
    case 'sample':
      return [...countAndGoOn(parts, null), ...sample(parts, action), jump(next)]
    case 'mark':
      return [...countAndGoOn(parts, null), ...mark(parts, action.value), jump(next)]
    default:
      return redirect(parts, action, devices)
  }
}

function devicesOf(segments: readonly Segment[]): number[] {
  const devices = new Set<number>()
  for (const { rules } of segments) {
    for (const { action } of rules) if (action.kind === 'forward') devices.add(action.interfaceIndex)
  }
  return [...devices]
}

function entriesOf(segments: readonly Segment[], devices: readonly number[]): MapEntry[] {
  const cpus = new Set<number>()
  for (const { rules } of segments) {
    for (const { action, isShadow } of rules) if (action.kind === 'steer' && !isShadow) cpus.add(action.cpu)
  }
  return [
    ...devices.map((value, key) => ({ map: FORWARD_DEVICES, key, value })),
    ...[...cpus].map((key) => ({ map: STEER_CPUS, key, value: CPU_QUEUE })),
  ]
}

/** Leaves out jumps to the place right behind them. */
function withoutDetours(items: readonly Item[]): Item[] {
  return items.filter((item, index) => {
    if (!('kind' in item) || item.kind !== 'goto') return true
    for (let at = index + 1; at < items.length; at++) {
      const behind = items[at]!
      if (!('kind' in behind) || behind.kind !== 'label') return true
      if (behind.name === item.target) return false
    }
    return true
  })
}
