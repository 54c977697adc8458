import {
  type Condition,
  type Item,
  jump,
  jumpIf32,
  label,
  load,
  type MapSpec,
  type Operand,
  R10,
  type Register,
  store,
} from '../../ebpf/index.js'
import {
  type Check,
  type Decision,
  type Graph,
  keyOf,
  type Lookup,
  type Membership,
  type Node,
  type NodeId,
  readsOf,
  readsOfValues,
  successorsOf,
} from '../../ir/index.js'
import { childrenOf, type Expression, expressionOf, pointerOf, type Question, questionOf } from '../expression.js'
import { layOut } from '../layout.js'
import {
  createPlacedTables,
  emitRuleLookup,
  FOUND_SLOT,
  NOTHING_FOUND,
  type PlacedTables,
  rawExpressions,
} from './emit-lookup.js'
import { createEvaluator, KEPT, MAX_EXTENT, type PacketRegisters } from './evaluate.js'
import { emitMembership } from './membership.js'
import { createRegisterFile, meetSnapshots, pointersOf, type Snapshot } from './registers.js'

/**
 * Emits the tests of `graph`, entered from above. What a register holds is
 * carried along every edge; where edges meet, what they agree on stays, so that
 * nothing is read twice that is still there, and no code is spent on moving
 * registers. `emitLeaf` ends a rule where it stands; a packet that no rule
 * matches goes to the label `NO_MATCH`. Sets are looked up in `setMaps`, by
 * the map's name. Returns whether any packet can match no rule.
 */
export function emitNodes(
  graph: Graph,
  pool: readonly Register[],
  setMaps: ReadonlyMap<string, MapSpec>,
  emit: (item: Item) => void,
  emitLeaf: (rule: number) => void,
  found: FoundRules = NO_TABLES,
  registers: PacketRegisters = KEPT,
): boolean {
  const { nodes } = graph
  const nameOf = (id: NodeId) => {
    const node = nodes[id]!
    if (node.kind !== 'leaf' || node.rule !== null) return `n${id}`
    return carries[id] === 1 ? END_OF_RULES : NO_MATCH
  }
  const carries = carriesAt(graph)
  const order = layOut(graph).filter((id) => !isMiss(nodes[id]!))
  const arriving = new Map<NodeId, Snapshot>()
  const uses = usesIn(graph, order)
  const extents = extentsIn(graph)
  const isLarge = nodes.length > LARGE_GRAPH
  let position = 0
  let counts = new Map<string, number>()
  let labels = 0
  let canFind = false
  let current: Check | Decision | Lookup

  const isNeeded = (key: string) => (uses.get(key) ?? -1) > position || (counts.get(key) ?? 0) > 1
  const file = createRegisterFile(pool, { isNeeded, lastUse: (key) => uses.get(key) ?? -1 })
  /** The current state also arrives at `id`. */
  const arrive = (id: NodeId): string => {
    const before = arriving.get(id)
    const now = isLarge ? pointersOf(file.snapshot()) : file.snapshot()
    arriving.set(id, before === undefined ? now : meetSnapshots(before, now))
    return nameOf(id)
  }
  const evaluator = createEvaluator({
    file,
    registers,
    emit,
    failLabel: () => arrive(current.fail),
    uniqueLabel: () => `local ${labels++}`,
    isLarge,
    isNeeded,
    extentOf: (key) => extents.get(key) ?? 0,
  })

  const emitCheck = (node: Check, next: NodeId | undefined) => {
    if (node.bytes > MAX_EXTENT) return goTo(node.fail, next)
    evaluator.check(node.base === null ? null : pointerOf(node.base), node.bytes)
    goTo(node.next, next)
  }
  const goTo = (target: NodeId, next: NodeId | undefined) => {
    const name = arrive(target)
    if (target !== next) emit(jump(name))
  }
  const emitSetTest = (test: Membership, { yes, no }: Decision, next: NodeId | undefined) => {
    const exits = () => ({ yes: arrive(yes), no: arrive(no), local: `set ${labels++}` })
    emitMembership(test, setMaps, { evaluator, file, emit, exits })
    // A look-up of IPv6 ends in jumps; the verifier refuses a further one that nothing reaches.
    if (test.family === 4) goTo(yes, next)
  }
  const emitDecision = (node: Decision, next: NodeId | undefined) => {
    if (node.test.operator === 'in') return emitSetTest(node.test, node, next)
    const question = questionOf(node.test)
    const zeroMask = node.yes === next ? maskOf(question) : null
    const [left, condition, right] =
      zeroMask === null ? compared(question) : ([evaluator.toRegister(zeroMask.left), '&', zeroMask.mask] as const)
    if (node.yes === next) {
      emit(jumpIf32(left, zeroMask === null ? INVERSE[question.operator] : '&', right, arrive(node.no)))
      arrive(node.yes)
    } else {
      emit(jumpIf32(left, condition, right, arrive(node.yes)))
      goTo(node.no, next)
    }
    file.release(left)
  }
  const emitLookup = (id: NodeId, node: Lookup, next: NodeId | undefined) => {
    const isEnd = isMiss(nodes[node.hit]!)
    emitRuleLookup(node, found.tables, {
      file,
      evaluator,
      emit,
      missLabel: () => arrive(node.miss),
      hitLabel: () => (isEnd ? foundLabel() : arrive(node.hit)),
      mayHaveFound: carries[id] === 1,
    })
    if (isEnd) emit(jump(foundLabel()))
    else goTo(node.hit, next)
  }
  const foundLabel = () => {
    canFind = true
    return FOUND
  }
  const compared = ({ operator, left, right }: Question): readonly [Register, Condition, Operand] => {
    const register = evaluator.toRegister(left)
    if (right.kind === 'number') return [register, CONDITIONS[operator], right.value]
    const other = evaluator.toRegister(right)
    file.release(other)
    return [register, CONDITIONS[operator], other]
  }

  if (carries.includes(1)) emit(store('u32', R10, FOUND_SLOT, NOTHING_FOUND))
  arriving.set(graph.entry, file.snapshot())
  order.forEach((id, index) => {
    const snapshot = arriving.get(id)
    if (snapshot === undefined) return
    const node = nodes[id]!
    emit(label(nameOf(id)))
    if (node.kind === 'leaf') {
      if (carries[id] === 1) {
        const scratch = pool[0]!
        emit(load('u32', scratch, R10, FOUND_SLOT))
        emit(jumpIf32(scratch, '<', found.tables.encode(node.rule!), foundLabel()))
      }
      emitLeaf(node.rule!)
      return
    }
    file.restore(snapshot)
    position = index
    current = node
    counts = countsIn(expressionsOf(node))
    if (node.kind === 'check') emitCheck(node, order[index + 1])
    else if (node.kind === 'lookup') emitLookup(id, node, order[index + 1])
    else emitDecision(node, order[index + 1])
  })
  const missed = [...arriving.keys()].find((id) => isMiss(nodes[id]!))
  if (missed !== undefined && carries[missed] === 1) {
    emit(label(END_OF_RULES))
    emit(load('u32', pool[0]!, R10, FOUND_SLOT))
    emit(jumpIf32(pool[0]!, '==', NOTHING_FOUND, NO_MATCH))
    canFind = true
  }
  if (canFind) {
    emit(label(FOUND))
    found.emitFound()
  }
  return missed !== undefined
}

/** Rules that stand in tables: where the tables lie, and how one ends whose encoded number is in `FOUND_SLOT`. */
export interface FoundRules {
  readonly tables: PlacedTables
  emitFound(): void
}

const NO_TABLES: FoundRules = {
  tables: createPlacedTables((rule) => rule),
  emitFound() {
    throw new Error('the graph has look-ups, and nothing was given to end the rules that they find')
  },
}

/** Nodes of a graph for which the verifier's work matters more than one jump. */
const LARGE_GRAPH = 250

/** The label of the end where no rule matched. */
export const NO_MATCH = 'no match'
/** The end where only a look-up can have found a rule. */
const END_OF_RULES = 'end of rules'
/** A look-up has found the first rule that matches. */
const FOUND = 'found'

const CONDITIONS = { '=': '==', '>': '>', '>=': '>=' } as const
const INVERSE = { '=': '!=', '>': '<=', '>=': '<' } as const

/** `x & mask = 0` is one instruction where the other answer jumps. */
function maskOf({ operator, left, right }: Question): { left: Expression; mask: number } | null {
  if (operator !== '=' || right.kind !== 'number' || right.value !== 0) return null
  if (left.kind !== 'calculation' || left.operator !== '&' || left.right.kind !== 'number') return null
  return { left: left.left, mask: left.right.value }
}

/** 1 for each node before which a look-up may have found a rule. */
function carriesAt({ nodes, entry }: Graph): Uint8Array {
  const carries = new Uint8Array(nodes.length)
  for (let id = entry; id >= 0; id--) {
    const node = nodes[id]!
    // What is found in front of the end goes there directly.
    if (node.kind === 'lookup' && !isMiss(nodes[node.hit]!)) carries[node.hit] = 1
    if (carries[id] === 1) for (const next of successorsOf(node)) carries[next] = 1
  }
  return carries
}

function isMiss(node: Node): boolean {
  return node.kind === 'leaf' && node.rule === null
}

function expressionsOf(node: Check | Decision | Lookup): Expression[] {
  if (node.kind === 'lookup') return rawExpressions(node.values)
  if (node.kind === 'check') return node.base === null ? [] : [pointerOf(node.base)]
  if (node.test.operator === 'in') return node.test.words.map(expressionOf)
  const { left, right } = questionOf(node.test)
  return [left, right]
}

/** How often each expression is asked for; what it is computed from counts once. */
function countsIn(expressions: readonly Expression[]): Map<string, number> {
  const counts = new Map<string, number>()
  const count = (expression: Expression) => {
    const before = counts.get(expression.key) ?? 0
    counts.set(expression.key, before + 1)
    if (before === 0) childrenOf(expression).forEach(count)
  }
  expressions.forEach(count)
  return counts
}

/**
 * The last position in `order` at which each expression is asked for. What it
 * is computed from is asked for only the first time: later it is expected to
 * be there still. Where it is not, only a copy too few was made.
 */
function usesIn({ nodes }: Graph, order: readonly NodeId[]): Map<string, number> {
  const last = new Map<string, number>()
  order.forEach((id, position) => {
    const node = nodes[id]!
    if (node.kind === 'leaf') return
    const use = (expression: Expression) => {
      const isFirst = !last.has(expression.key)
      last.set(expression.key, position)
      if (isFirst) childrenOf(expression).forEach(use)
    }
    expressionsOf(node).forEach(use)
  })
  return last
}

function readsAt(node: Check | Decision | Lookup) {
  if (node.kind === 'check') return [node]
  return node.kind === 'lookup' ? readsOfValues(node.values) : readsOf(node.test)
}

/** The furthest byte read or checked behind each base, as far as the program reads at all. */
function extentsIn({ nodes }: Graph): Map<string, number> {
  const extents = new Map<string, number>()
  for (const node of nodes) {
    if (node.kind === 'leaf') continue
    for (const { base, bytes } of readsAt(node)) {
      const key = keyOf(base)
      if (bytes <= MAX_EXTENT) extents.set(key, Math.max(extents.get(key) ?? 0, bytes))
    }
  }
  return extents
}
