import {
  type Check,
  type Decision,
  divides,
  type Graph,
  type Leaf,
  type Lookup,
  type Node,
  type NodeId,
  valuesOf,
} from '../../ir/index.js'
import { br, brIf, get, type Instruction, i32, op, set, tee, type WasmFunction } from '../../wasm/index.js'
import { type Expression, expressionOf } from '../expression.js'
import { layOut } from '../layout.js'
import { nestBlocks } from './blocks.js'
import { NO_RULE } from './bundle.js'
import { countUses, createValueEmitter, expressionsOf } from './emit-values.js'
import { createLookups, type MatcherImage } from './lookups.js'

/** The local with the number of captured bytes. */
export const CAPTURED = 'captured'
/**
 * The local for the verdict; it is NO_RULE where the code is entered. Look-ups
 * put what they find there on the way; NO_RULE is greater than every rule.
 */
export const RULE = 'rule'
/** The label behind the code, where the verdict is known. */
export const JUDGED = 'judged'

const MAX_U32 = 0xffff_ffff

/** The code that judges one frame, and what it needs declared. */
export interface JudgingCode {
  readonly code: readonly Instruction[]
  readonly locals: readonly string[]
  /** What its look-ups read; the address of image `i` is word `i` of the list that the local IMAGES holds the address of. */
  readonly images: readonly MatcherImage[]
  /** The functions that look into them. */
  readonly functions: readonly WasmFunction[]
}

/**
 * Code for all decisions of `graph`, whose reads must all be behind checks. A
 * local keeps each value that is asked for more than once; where ways meet, it
 * counts as computed only if all of them have computed it.
 */
export function emitSteps(graph: Graph): JudgingCode {
  const { nodes, entry } = graph
  const coded = codedNodes(graph)
  const order = layOut(graph).filter((id) => coded.has(id))
  const positions = new Map(order.map((id, position) => [id, position]))
  const uses = countUses(order.flatMap((id) => expressionsIn(nodes[id]!)))
  const locals = new Map<string, string>()
  const scratches: string[] = []
  const lookups = createLookups()
  const hasLookups = nodes.some(({ kind }) => kind === 'lookup')
  const arriving = new Map<NodeId, ReadonlySet<string>>([[entry, new Set()]])
  const branchedFrom: number[][] = order.map(() => [])
  let held = new Set<string>()
  let code: Instruction[] = []
  let position = 0
  let fail: NodeId = entry

  const arrive = (id: NodeId) => {
    const before = arriving.get(id)
    arriving.set(id, new Set(before === undefined ? held : [...held].filter((key) => before.has(key))))
  }
  /** For a branch from here to a node. */
  const labelOf = (id: NodeId): string => {
    const target = positions.get(id)
    if (target === undefined) return JUDGED
    arrive(id)
    branchedFrom[target]!.push(position)
    return `n${id}`
  }
  const isNext = (id: NodeId) => (positions.get(id) ?? order.length) === position + 1
  const goTo = (id: NodeId) => {
    if (!isNext(id)) code.push(br(labelOf(id)))
    else if (positions.has(id)) arrive(id)
  }
  const scratch = () => scratches[scratches.push(`t${scratches.length}`) - 1]!
  /** The verdict on the stack is the last of this frame. */
  const settle = () => {
    if (hasLookups) {
      const verdict = scratch()
      code.push(tee(verdict), ...keepFirst(verdict))
    }
    code.push(set(RULE))
    if (position < order.length - 1) code.push(br(JUDGED))
  }
  const { value, answer } = createValueEmitter({
    emit: (instruction) => code.push(instruction),
    held: () => held,
    isShared: (key) => (uses.get(key) ?? 0) > 1,
    localOf(key) {
      const name = locals.get(key) ?? `v${locals.size}`
      locals.set(key, name)
      return name
    },
    scratch,
    failLabel: () => labelOf(fail),
    lookup: lookups.intoSet,
  })

  const emitCheck = ({ base, bytes, next, fail }: Check) => {
    if (bytes > MAX_U32) return goTo(fail)
    if (base === null) code.push(get(CAPTURED), i32(bytes), op('i32.lt_u'))
    else {
      value(expressionOf(base))
      code.push(...isBeyond(base.max, bytes))
    }
    code.push(brIf(labelOf(fail)))
    goTo(next)
  }
  const emitDecision = ({ test, yes, no }: Decision) => {
    const match = verdictAt(graph, yes)
    const otherwise = verdictAt(graph, no)
    if (match !== null && otherwise !== null) {
      answer(test, false)
      code.push(...chosenVerdict(match, otherwise))
      settle()
      return
    }
    const [taken, other] = isNext(yes) ? [no, yes] : [yes, no]
    answer(test, taken === no)
    code.push(brIf(labelOf(taken)))
    goTo(other)
  }
  const emitLeaf = ({ rule }: Leaf) => {
    code.push(i32(rule!))
    settle()
  }
  const emitLookup = ({ values, table, hit, miss }: Lookup) => {
    const found = scratch()
    for (const word of values) value(expressionOf(word))
    code.push(...lookups.intoTable(table), tee(found), ...keepFirst(found), set(RULE))
    code.push(get(found), i32(NO_RULE), op('i32.eq'), brIf(labelOf(miss)))
    goTo(hit)
  }

  const pieces = order.map((id, index) => {
    const node = nodes[id]!
    position = index
    code = []
    held = new Set(arriving.get(id))
    if (node.kind !== 'leaf') fail = node.fail
    if (node.kind === 'leaf') emitLeaf(node)
    else if (node.kind === 'check') emitCheck(node)
    else if (node.kind === 'lookup') emitLookup(node)
    else emitDecision(node)
    return { label: `n${id}`, code, branchedFrom: branchedFrom[index]! }
  })
  return { code: nestBlocks(pieces), locals: [...locals.values(), ...scratches], ...lookups.found }
}

/** With the value of the local `found` on the stack: the earlier of it and the verdict so far. */
function keepFirst(found: string): Instruction[] {
  return [get(RULE), get(found), get(RULE), op('i32.lt_u'), op('select')]
}

/** With a base on the stack: whether base + bytes lies beyond the captured bytes, without wrapping. */
function isBeyond(baseMax: number, bytes: number): Instruction[] {
  if (baseMax + bytes <= MAX_U32) return [i32(bytes), op('i32.add'), get(CAPTURED), op('i32.gt_u')]
  const room = [get(CAPTURED), i32(bytes), op('i32.sub')]
  return [...room, op('i32.gt_u'), get(CAPTURED), i32(bytes), op('i32.lt_u'), op('i32.or')]
}

/** With an answer on the stack: the verdict without a jump, as `otherwise + answer * (match - otherwise)`. */
function chosenVerdict(match: number, otherwise: number): Instruction[] {
  const scaled = match - otherwise === 1 ? [] : [i32(match - otherwise), op('i32.mul')]
  return [...scaled, i32(otherwise), op('i32.add')]
}

function verdictAt({ nodes }: Graph, id: NodeId): number | null {
  const node = nodes[id]!
  return node.kind === 'leaf' ? (node.rule ?? NO_RULE) : null
}

/**
 * The nodes that need code of their own: not the end without a match, and no
 * leaf whose verdict every way there sets without a jump.
 */
function codedNodes(graph: Graph): Set<NodeId> {
  const coded = new Set<NodeId>()
  const add = (id: NodeId) => {
    if (verdictAt(graph, id) !== NO_RULE) coded.add(id)
  }
  add(graph.entry)
  for (let id = graph.entry; id >= 0; id--) {
    if (coded.has(id)) jumpsOf(graph, graph.nodes[id]!).forEach(add)
  }
  return coded
}

/** Where code for the node leads; where all reads are checked, only a division fails. */
function jumpsOf(graph: Graph, node: Node): NodeId[] {
  switch (node.kind) {
    case 'leaf':
      return []
    case 'check':
      return [node.next, node.fail]
    case 'lookup':
      return [node.hit, node.miss, ...(node.values.some(divides) ? [node.fail] : [])]
    case 'decision': {
      const isVerdict = verdictAt(graph, node.yes) !== null && verdictAt(graph, node.no) !== null
      const fails = valuesOf(node.test).some(divides) ? [node.fail] : []
      return isVerdict ? fails : [node.yes, node.no, ...fails]
    }
  }
}

function expressionsIn(node: Node): Expression[] {
  switch (node.kind) {
    case 'leaf':
      return []
    case 'check':
      return node.base === null ? [] : [expressionOf(node.base)]
    case 'lookup':
      return node.values.map(expressionOf)
    case 'decision':
      return expressionsOf(node.test)
  }
}
