import { all, type Condition, type Test, valuesOf } from './condition.js'
import { decide, type Facts, learn, meet, NO_FACTS } from './facts.js'
import { buildGraph, type Decision, type Graph, type NodeId, successorsOf } from './graph.js'
import { keyOf, readsOf } from './passes/bounds.js'
import { threadJumps } from './passes/thread.js'
import { divides } from './value.js'

/** One rule of a list, as far as it matters for what comes behind it. */
export interface ListedRule {
  readonly condition: Condition
  /** No later rule sees what this one matches. */
  readonly isFinal: boolean
}

/**
 * Which rules no packet reaches and matches, whatever its bytes and however it
 * was cut: contradictions, and rules whose packets the final rules before them
 * take. What a set holds is not known here, and not every case is found; but
 * each that is named is one.
 */
export function unreachableRules(rules: readonly ListedRule[]): number[] {
  const conditions = rules.map(({ condition, isFinal }, index) => (isFinal ? condition : all(condition, coin(index))))
  const reached = reachedLeaves(threadJumps(buildGraph(conditions)))
  return rules.map((_, index) => index).filter((index) => !reached.has(index))
}

/** How many tests the rules have, which says how long a search through their graph takes. */
export function testsIn(rules: readonly Pick<ListedRule, 'condition'>[]): number {
  const count = (condition: Condition): number => {
    switch (condition.kind) {
      case 'always':
        return 0
      case 'test':
        return 1
      case 'not':
        return count(condition.operand)
      default:
        return condition.operands.reduce((sum, operand) => sum + count(operand), 0)
    }
  }
  return rules.reduce((sum, { condition }) => sum + count(condition), 0)
}

/** A question that nothing answers: behind a rule that is not final the list goes on either way. */
function coin(index: number): Condition {
  return { kind: 'test', test: { operator: 'in', set: '', family: 4, words: [], key: `coin ${index}` } }
}

/** What is known at one edge: answers, and reads that would fail. */
interface Knowledge {
  readonly facts: Facts
  /** By the key of a base: fewer bytes than these are captured behind it. */
  readonly short: ReadonlyMap<string, number>
}

const NOTHING: Knowledge = { facts: NO_FACTS, short: new Map() }

/** As jump threading walks, but also along failing reads: what is cut for one rule is cut for the next. */
function reachedLeaves({ nodes, entry }: Graph): ReadonlySet<number> {
  const reached = new Set<number>()
  const knownAt: (Knowledge | undefined)[] = new Array(nodes.length)
  const flow = (knowledge: Knowledge, target: NodeId) => {
    const id = follow({ nodes, entry }, target, knowledge)
    const node = nodes[id]!
    if (node.kind === 'leaf') {
      if (node.rule !== null) reached.add(node.rule)
      return
    }
    const before = knownAt[id]
    knownAt[id] = before === undefined ? knowledge : common(before, knowledge)
  }
  flow(NOTHING, entry)
  for (let id = entry; id >= 0; id--) {
    const node = nodes[id]!
    const known = knownAt[id]
    if (known === undefined) continue
    if (node.kind !== 'decision') {
      for (const next of successorsOf(node)) flow(NOTHING, next)
      continue
    }
    flow({ ...known, facts: learn(known.facts, node.test, true) }, node.yes)
    flow({ ...known, facts: learn(known.facts, node.test, false) }, node.no)
    if (canFailHere(node, known)) flow({ ...known, short: learnShort(known.short, node.test) }, node.fail)
  }
  return reached
}

/** The first node from `target` on whose outcome is not known. */
function follow({ nodes }: Graph, target: NodeId, { facts, short }: Knowledge): NodeId {
  let id = target
  for (;;) {
    const node = nodes[id]!
    if (node.kind !== 'decision') return id
    const answer = decide(facts, node.test)
    if (answer !== null) id = answer ? node.yes : node.no
    else if (fails(short, node.test)) id = node.fail
    else return id
  }
}

function canFailHere({ test }: Decision, { facts }: Knowledge): boolean {
  return decide(facts, test) === null && valuesOf(test).some((value) => value.canFail)
}

/** A read behind any base needs at least as many bytes from the packet's start. */
function fails(short: ReadonlyMap<string, number>, test: Test): boolean {
  if (short.size === 0) return false
  const fromStart = short.get('') ?? Number.POSITIVE_INFINITY
  return readsOf(test).some(({ base, bytes }) => bytes >= Math.min(fromStart, short.get(keyOf(base)) ?? fromStart))
}

/**
 * Where `test` could not be computed, its furthest read failed, as far as that
 * is the one that fails first to last: with reads of b bytes from the start and
 * of c >= b behind some base, the second fails wherever the first does.
 */
function learnShort(short: ReadonlyMap<string, number>, test: Test): ReadonlyMap<string, number> {
  if (valuesOf(test).some(divides)) return short
  const reads = readsOf(test)
  const furthest = reads.filter((read) =>
    reads.every((other) => other === read || (other.base === null && other.bytes <= read.bytes)),
  )
  if (furthest.length !== 1) return short
  const { base, bytes } = furthest[0]!
  const key = keyOf(base)
  return new Map(short).set(key, Math.min(bytes, short.get(key) ?? bytes))
}

function common(one: Knowledge, other: Knowledge): Knowledge {
  const short = new Map<string, number>()
  for (const [key, bytes] of one.short) {
    const second = other.short.get(key)
    if (second !== undefined) short.set(key, Math.max(bytes, second))
  }
  return { facts: meet(one.facts, other.facts), short }
}
