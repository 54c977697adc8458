import {
  type Check,
  type Decision,
  divides,
  type Graph,
  type Leaf,
  type Lookup,
  type Node,
  type NodeId,
  type Test,
  valuesOf,
} from '../../ir/index.js'

/** Tests that are answered together, without a jump between them. */
export type Formula =
  | { readonly kind: 'test'; readonly test: Test }
  | { readonly kind: 'not'; readonly formula: Formula }
  | { readonly kind: 'both' | 'either'; readonly left: Formula; readonly right: Formula }
  | { readonly kind: 'choice'; readonly formula: Formula; readonly yes: Formula; readonly no: Formula }

/** A decision on one or more tests; `fail` is where a division by zero leads. */
export interface Branch {
  readonly kind: 'branch'
  readonly formula: Formula
  readonly tests: number
  /** It can be answered at any time, also in vain. */
  readonly isPure: boolean
  readonly yes: NodeId
  readonly no: NodeId
  readonly fail: NodeId
}

/** The graph's nodes under their own ids; null for a decision that was taken into another. */
export type Step = Leaf | Check | Lookup | Branch | null

/**
 * More tests than this are not answered together: a mispredicted jump costs
 * about as much as answering this many in vain.
 */
const MOST_TESTS = 12

/**
 * Takes decisions into the one decision that leads to them, where both end at
 * the same two places, so that one jump is left that the processor can
 * mispredict:
 *
 *     a ? (b ? Y : N) : N            is  a and b      ? Y : N
 *     a ? Y : (b ? Y : N)            is  a or b       ? Y : N
 *     a ? (b ? Y : N) : (c ? Y : N)  is  (a ? b : c)  ? Y : N
 *
 * What is taken in may read at once: no check stands between the decisions, so
 * its reads were checked before the first of them.
 */
export function mergeDecisions(graph: Graph): Step[] {
  const steps: Step[] = []
  const arrivals = arrivalsAt(graph)
  graph.nodes.forEach((node, id) => {
    steps[id] = node.kind === 'decision' ? branchOf(node) : node
    while (takeIn(steps, id, arrivals)) {
      // Each turn takes in one or two decisions, so this ends.
    }
  })
  return steps
}

function branchOf({ test, yes, no, fail }: Decision): Branch {
  return { kind: 'branch', formula: { kind: 'test', test }, tests: 1, isPure: isPure(test), yes, no, fail }
}

/** Answering it in vain does no harm: no division by zero, no call. */
function isPure(test: Test): boolean {
  return test.operator !== 'in' && !valuesOf(test).some(divides)
}

/** How many edges lead to each node; where nothing else can fail, `fail` counts only for a division. */
function arrivalsAt({ nodes, entry }: Graph): Uint32Array {
  const arrivals = new Uint32Array(nodes.length)
  arrivals[entry] = 1
  for (const node of nodes) {
    for (const target of targetsOf(node)) arrivals[target]!++
  }
  return arrivals
}

function targetsOf(node: Node): NodeId[] {
  switch (node.kind) {
    case 'leaf':
      return []
    case 'check':
      return [node.next, node.fail]
    case 'lookup':
      return [node.hit, node.miss, ...(node.values.some(divides) ? [node.fail] : [])]
    case 'decision':
      return [node.yes, node.no, ...(valuesOf(node.test).some(divides) ? [node.fail] : [])]
  }
}

/** Takes one target, or both, into the branch at `id`; false where neither can be. */
function takeIn(steps: Step[], id: NodeId, arrivals: Uint32Array): boolean {
  const branch = steps[id]
  if (branch?.kind !== 'branch' || !branch.isPure) return false
  for (const target of [branch.yes, branch.no]) {
    const exits = innerAt(steps, target, arrivals)
    if (exits === null) continue
    const sides = [branch.yes, branch.no].map((side) => sideAt(steps, side, exits, arrivals))
    const [yes, no] = sides
    if (!yes || !no) continue
    const tests = branch.tests + yes.tests + no.tests
    if (tests > MOST_TESTS) continue
    const formula = chosen(branch.formula, yes.answer, no.answer)
    steps[id] = { ...branch, formula, tests, yes: exits.yes, no: exits.no }
    for (const side of sides) {
      if (side === null || side!.taken === null) continue
      steps[side!.taken] = null
      arrivals[exits.yes]!--
      arrivals[exits.no]!--
    }
    for (const side of [branch.yes, branch.no]) arrivals[side]!--
    arrivals[exits.yes]!++
    arrivals[exits.no]!++
    return true
  }
  return false
}

/** The decision at `target` where only one edge leads there and it can be answered at any time. */
function innerAt(steps: readonly Step[], target: NodeId, arrivals: Uint32Array): Branch | null {
  const step = steps[target]!
  return step?.kind === 'branch' && step.isPure && arrivals[target] === 1 ? step : null
}

/** What an edge means between two exits: always the one, always the other, or as a formula has it. */
interface Side {
  readonly answer: boolean | Formula
  readonly tests: number
  readonly taken: NodeId | null
}

function sideAt(steps: readonly Step[], target: NodeId, exits: Branch, arrivals: Uint32Array): Side | null {
  if (target === exits.yes) return { answer: true, tests: 0, taken: null }
  if (target === exits.no) return { answer: false, tests: 0, taken: null }
  const inner = innerAt(steps, target, arrivals)
  if (inner === null) return null
  const { formula, tests } = inner
  if (inner.yes === exits.yes && inner.no === exits.no) return { answer: formula, tests, taken: target }
  if (inner.yes === exits.no && inner.no === exits.yes) return { answer: negated(formula), tests, taken: target }
  return null
}

/** `formula ? yes : no` in its shortest form. */
function chosen(formula: Formula, yes: boolean | Formula, no: boolean | Formula): Formula {
  if (yes === true) return no === false || no === true ? formula : { kind: 'either', left: formula, right: no }
  if (no === true) return yes === false ? negated(formula) : { kind: 'either', left: negated(formula), right: yes }
  if (no === false) return yes === false ? formula : { kind: 'both', left: formula, right: yes }
  if (yes === false) return { kind: 'both', left: negated(formula), right: no }
  return { kind: 'choice', formula, yes, no }
}

function negated(formula: Formula): Formula {
  return formula.kind === 'not' ? formula.formula : { kind: 'not', formula }
}
