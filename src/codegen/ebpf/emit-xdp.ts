import {
  alu32,
  alu64,
  assemble,
  call,
  exit,
  type Item,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadMap,
  type MapSpec,
  mov32,
  mov64,
  type Program,
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
  store,
} from '../../ebpf/index.js'
import { type Graph, type Node, oncePerObject, type Value, valuesOf } from '../../ir/index.js'
import { createPlacedTables, FOUND_SLOT } from './emit-lookup.js'
import { emitNodes, NO_MATCH } from './emit-nodes.js'
import { KEPT, PACKET, PACKET_END, type PacketRegisters, WIRE_LENGTH } from './evaluate.js'
import { type SetsByName, setMapsOf } from './set-maps.js'

/** What a matching packet meets. `count` counts and passes; `pass` ends the list for it. */
export type Action = 'drop' | 'count' | 'pass'

/** How the program sees packets, and whether anyone reads its counters. */
export interface XdpOptions {
  readonly name?: string
  /** Packets and bytes of each rule in the map `rule_counters`; true where nothing is said. */
  readonly counters?: boolean
  /** Accept frames of several buffers; a rule sees the first, and `len` counts all. False where nothing is said. */
  readonly multiBuffer?: boolean
  /**
   * Where `len` comes from: the frame, or a 32-bit number in host order that
   * the caller put into the last 4 bytes before it (`data_meta`), as a cut
   * capture needs. A frame without these bytes counts itself.
   */
  readonly wireLength?: 'frame' | 'metadata'
  /** What the sets hold that the rules name; each is a map of the program, and can be replaced there. */
  readonly setContents?: SetsByName
}

/** Per-CPU array: key u32 rule, value two u64: packets and bytes. */
export const RULE_COUNTERS = 'rule_counters'

const XDP_DROP = 1
const XDP_PASS = 2
/** Offsets in `struct xdp_md` (include/uapi/linux/bpf.h). */
const DATA = 0
const DATA_END = 4
const DATA_META = 8
const HELPER_MAP_LOOKUP = 1
const HELPER_XDP_GET_BUFF_LEN = 188
/** Where the counter's key lies on the stack. */
const COUNTER_KEY = -4
/** Where the packet's length waits for the end of a call; expressions that waited here are done by then. */
const BYTES_SLOT = -16
const WIRE_LENGTH_BYTES = 4
const EXIT = exit()
const LICENSE = 'Dual BSD/GPL'
/** A rule in a table: its index above, and its verdict in these low bits. */
const VERDICT_BITS = 2

/**
 * The XDP program for `graph`, whose leaf `i` has the action `actions[i]`; no
 * match passes. The graph must come from `optimize`, which puts every read
 * behind a bounds check. The packet's start and end are in R1 and R2: a program
 * that saves no register is faster by that much for every packet. Where a helper is asked for the length they
 * are in R7 to R9, with the context in R6, to outlive the call.
 * Throws UnsupportedError for a set whose contents are not given.
 */
export function emitXdp(graph: Graph, actions: readonly Action[], options: XdpOptions = {}): Program {
  const { name = 'sluice_rules', counters = true, multiBuffer = false, wireLength: source = 'frame' } = options
  const metadata = source === 'metadata'
  const hasLength = metadata || graph.nodes.some(asksLength)
  // Without the length in a register, the counters of a frame in several buffers ask for it in the end.
  const keepsContext = multiBuffer && counters && !hasLength
  const isKept = multiBuffer || metadata
  const registers = isKept ? KEPT : UNKEPT
  const pool = isKept
    ? [R0, R1, R2, R3, R4, R5, ...(keepsContext ? [] : [R6]), ...(hasLength ? [] : [R9])]
    : [R3, R4, R5, R6, R7, R8, R9]

  const items = isKept ? prologue({ hasLength, metadata, multiBuffer, keepsContext }) : shortPrologue()
  const verdicts: number[] = []
  let endOfLeaf = 0
  const setMaps = setMapsOf(graph, options.setContents ?? new Map())
  const tables = createPlacedTables((rule) => (rule << VERDICT_BITS) + verdictOf(actions[rule]!))
  const canMiss = emitNodes(
    graph,
    pool,
    setMaps,
    (item) => items.push(item),
    (rule) => {
      const verdict = verdictOf(actions[rule]!)
      verdicts.unshift(verdict)
      if (counters) items.push(store('u32', R10, COUNTER_KEY, rule))
      endOfLeaf = items.push(jump(verdictLabel(verdict)))
    },
    {
      tables,
      emitFound() {
        const found = foundVerdicts(graph, actions)
        verdicts.unshift(...found)
        items.push(...emitFound(found, counters))
        endOfLeaf = items.push(jump(verdictLabel(found[0]!)))
      },
    },
    registers,
  )
  // The rule that ends last goes on into its verdict.
  if (items.length === endOfLeaf) items.pop()
  items.push(...emitVerdicts(verdicts, { counters, hasLength, keepsContext, registers }))
  // The verifier refuses code that nothing reaches.
  if (canMiss && !isKept) endAt(items, NO_MATCH)
  else if (canMiss) items.push(label(NO_MATCH), mov64(R0, XDP_PASS), EXIT)
  const map: MapSpec = {
    name: RULE_COUNTERS,
    kind: 'percpu-array',
    keyBytes: 4,
    valueBytes: 16,
    maxEntries: Math.max(actions.length, 1),
  }
  const maps = [...(counters ? [map] : []), ...setMaps.values(), ...tables.maps()]
  return { name, type: 'xdp', license: LICENSE, ...assemble(items), maps, multiBuffer }
}

const UNKEPT: PacketRegisters = { packet: R1, packetEnd: R2, wireLength: null }

/** "Pass" is in R0 from the start, so that a packet that matches nothing is at the end at once. */
function shortPrologue(): Item[] {
  // The context is in R1 as well, so the packet comes last.
  return [load('u32', R2, R1, DATA_END), load('u32', R1, R1, DATA), mov64(R0, XDP_PASS)]
}

interface PrologueNeeds {
  readonly hasLength: boolean
  readonly metadata: boolean
  readonly multiBuffer: boolean
  readonly keepsContext: boolean
}

function prologue({ hasLength, metadata, multiBuffer, keepsContext }: PrologueNeeds): Item[] {
  const [packet, packetEnd, wireLength] = [PACKET, PACKET_END, WIRE_LENGTH]
  const asksKernel = hasLength && multiBuffer
  const items: Item[] = []
  const context = asksKernel ? R6 : R1
  if (asksKernel || keepsContext) items.push(mov64(R6, R1))
  if (asksKernel) items.push(call(HELPER_XDP_GET_BUFF_LEN), mov64(wireLength, R0))
  items.push(load('u32', packet, context, DATA), load('u32', packetEnd, context, DATA_END))
  if (hasLength && !asksKernel) items.push(mov64(wireLength, packetEnd), alu64('sub', wireLength, packet))
  if (metadata)
    items.push(
      load('u32', R2, context, DATA_META),
      mov64(R3, R2),
      alu64('add', R3, WIRE_LENGTH_BYTES),
      jumpIf(R3, '>', packet, 'length known'),
      load('u32', wireLength, R2, 0),
      label('length known'),
    )
  return items
}

interface CounterNeeds {
  readonly counters: boolean
  readonly hasLength: boolean
  readonly keepsContext: boolean
  readonly registers: PacketRegisters
}

/** One block for each verdict, the one that the last rule asked for first. */
function emitVerdicts(verdicts: readonly number[], needs: CounterNeeds): Item[] {
  const items: Item[] = []
  for (const verdict of new Set(verdicts)) {
    items.push(label(verdictLabel(verdict)))
    if (needs.counters) items.push(...countPacket(`out ${verdict}`, needs))
    items.push(mov64(R0, verdict), EXIT)
  }
  return items
}

/** Lets the label share the last exit, because the kernel's JIT compiler makes each further one a jump to the first. */
function endAt(items: Item[], name: string): void {
  if (items.at(-1) === EXIT) items.pop()
  items.push(label(name), EXIT)
}

/** Verdicts of rules in tables. */
function foundVerdicts({ nodes }: Graph, actions: readonly Action[]): number[] {
  const verdicts = new Set<number>()
  for (const node of nodes)
    if (node.kind === 'lookup') for (const rule of node.table.rules) verdicts.add(verdictOf(actions[rule]!))
  return [...verdicts]
}

/** The rule that was found, to where its verdict is given: the first of the verdicts follows. */
function emitFound(verdicts: readonly number[], counters: boolean): Item[] {
  const items: Item[] = [load('u32', R0, R10, FOUND_SLOT)]
  if (counters) items.push(mov32(R4, R0), alu32('rsh', R4, VERDICT_BITS), store('u32', R10, COUNTER_KEY, R4))
  if (verdicts.length > 1) {
    items.push(alu32('and', R0, 2 ** VERDICT_BITS - 1))
    for (const verdict of verdicts.slice(1)) items.push(jumpIf32(R0, '==', verdict, verdictLabel(verdict)))
  }
  return items
}

function verdictOf(action: Action): number {
  return action === 'drop' ? XDP_DROP : XDP_PASS
}

function verdictLabel(verdict: number): string {
  return `verdict ${verdict}`
}

function countPacket(out: string, { hasLength, keepsContext, registers }: CounterNeeds): Item[] {
  const { packet, packetEnd } = registers
  const isKept = registers === KEPT
  const measure = isKept && (hasLength || keepsContext) ? [] : [alu64('sub', packetEnd, packet)]
  const items: Item[] = [
    ...measure,
    ...(isKept ? [] : [store('u64', R10, BYTES_SLOT, packetEnd)]),
    mov64(R2, R10),
    alu64('add', R2, COUNTER_KEY),
    loadMap(R1, RULE_COUNTERS),
    call(HELPER_MAP_LOOKUP),
    jumpIf(R0, '==', 0, out),
    load('u64', R1, R0, 0),
    alu64('add', R1, 1),
    store('u64', R0, 0, R1),
  ]
  if (!isKept) items.push(load('u64', R2, R10, BYTES_SLOT), ...addBytes(R0, R2))
  else if (hasLength) items.push(...addBytes(R0, WIRE_LENGTH))
  else if (keepsContext)
    items.push(mov64(packet, R0), mov64(R1, R6), call(HELPER_XDP_GET_BUFF_LEN), ...addBytes(packet, R0))
  else items.push(...addBytes(R0, packetEnd))
  return [...items, label(out)]
}

function addBytes(counter: typeof R0, bytes: typeof R0): Item[] {
  return [load('u64', R1, counter, 8), alu64('add', R1, bytes), store('u64', counter, 8, R1)]
}

/** Whether a test of the graph asks for the length on the wire. */
export function asksLength(node: Node): boolean {
  if (node.kind === 'leaf') return false
  if (node.kind === 'check') return node.base !== null && hasLengthIn(node.base)
  return (node.kind === 'lookup' ? node.values : valuesOf(node.test)).some(hasLengthIn)
}

const hasLengthIn = oncePerObject((value: Value): boolean => {
  if (value.kind === 'load') return value.base !== null && hasLengthIn(value.base)
  return value.kind === 'binary' ? hasLengthIn(value.left) || hasLengthIn(value.right) : value.kind === 'length'
})
