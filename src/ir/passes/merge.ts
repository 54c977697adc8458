import { type Condition, compare, type Test, valuesOf } from '../condition.js'
import { connectCondition, createGraphBuilder, type Graph, type GraphBuilder, type NodeId } from '../graph.js'
import { constant, divides } from '../value.js'
import { keyOf, readsOf } from './bounds.js'
import { type Clause, clausesOf } from './clauses.js'
import { asEquation, shapesOf } from './shapes.js'

/**
 * One graph for a list of rules, the first match wins, in which a question
 * that many rules ask is asked once. Each rule is a choice of clauses, each
 * clause a row of literals; the list is split by the question that most clauses
 * ask, and each part again, as one compiles pattern matching:
 *
 *     udp and port 53           [12:2] = 0x800  ? ([23] = 17 ? port 53 … : …)
 *     udp and src net A      →                  : [12:2] = 0x86dd ? …
 *     tcp and dst port 22
 *
 * A clause that does not ask the question goes into every part, so splitting
 * ends where copies would be too many; what is left is asked in a row. Rules of
 * one shape are one clause with a table. What a table finds need not be the
 * first match, so the walk goes on while an earlier rule can still be found.
 */
export function mergeRules(conditions: readonly Condition[]): Graph {
  const clauses = shapesOf(conditions).flatMap((shape) => clausesOf(shape, conditions))
  clauses.sort((one, other) => one.first - other.first)
  const builder = createGraphBuilder()
  const merge = createMerge(builder, { copies: COPIES_FOR_ALL + COPIES_A_CLAUSE * clauses.length })
  return builder.finish(merge(clauses.map((clause, id) => pendingOf(clause, id))))
}

/** How many clauses may be copied in splitting: some for small lists, and a few for each clause of long ones. */
const COPIES_FOR_ALL = 400
const COPIES_A_CLAUSE = 6
/** A question is worth the copies of those that do not ask it where this part of the clauses does, or so many. */
const LEAST_SHARE = 0.25
const MANY = 16
/** Up to so many constants are compared with one after the other, more by halves. */
const LINEAR_CASES = 3

/** A clause with the literals that are still to be asked, one bit for each. */
interface Pending {
  readonly clause: Clause
  readonly id: number
  readonly open: number
}

function pendingOf(clause: Clause, id: number): Pending {
  return { clause, id, open: 2 ** clause.literals.length - 1 }
}

type List = readonly Pending[]

/** The question of a literal: a value that is compared with constants for equality, or a test. */
function subjectOf(test: Test): string {
  return asEquation(test)?.left.key ?? `? ${test.key}`
}

function createMerge(builder: GraphBuilder, budget: { copies: number }): (list: List) => NodeId {
  const known = new Map<string, NodeId>()

  function merge(whole: List): NodeId {
    const list = reachableOf(whole)
    const key = list.map(({ id, open }) => `${id}:${open}`).join()
    let node = known.get(key)
    if (node === undefined) {
      const split = chooseSplit(list, budget)
      node = split === null ? inARow(list) : splitBy(list, split)
      known.set(key, node)
    }
    return node
  }

  function splitBy(list: List, subject: string): NodeId {
    const test = testOf(list, subject)
    const fail = merge(afterFailure(list, test, subject))
    if (asEquation(test) === null) {
      const [yes, no] = [true, false].map((answer) => merge(list.flatMap((pending) => given(pending, subject, answer))))
      return builder.decision(test, yes!, no!, fail)
    }
    const cases = casesOf(list, subject)
    const otherwise = merge(list.flatMap((pending) => given(pending, subject, null)))
    const sorted = [...cases].sort(([one], [other]) => one - other).map(([c, part]) => [c, merge(part)] as const)
    return chooseCase(builder, test, sorted, otherwise, fail)
  }

  function inARow(list: List): NodeId {
    let next = builder.leaf(null)
    for (let index = list.length - 1; index >= 0; index--) {
      const { clause, open } = list[index]!
      const goal = reach(clause, next, list[index + 1]?.clause.first ?? Number.POSITIVE_INFINITY)
      next = clause.literals.reduceRight((then, { test, answer }, literal) => {
        if ((open & (1 << literal)) === 0) return then
        return builder.decision(test, answer ? then : next, answer ? next : then, next)
      }, goal)
    }
    return next
  }

  function reach({ goal, first, last }: Clause, next: NodeId, following: number): NodeId {
    switch (goal.kind) {
      case 'rule':
        return builder.leaf(first)
      case 'condition':
        return connectCondition(builder, goal.condition, builder.leaf(first), next, next)
      case 'table':
        return builder.lookup(goal.values, goal.table, last < following ? builder.leaf(null) : next, next, next)
    }
  }

  return merge
}

/** The list up to the first clause that holds for certain: no later one comes to its turn. */
function reachableOf(list: List): List {
  const certain = list.findIndex(({ clause, open }) => open === 0 && clause.goal.kind === 'rule')
  return certain < 0 ? list : list.slice(0, certain + 1)
}

/** How a question is asked in a list. */
interface Tally {
  clauses: number
  /** Clauses that only say which constants it is not, and how often they do in all. */
  excluding: number
  exclusions: number
  readonly constants: Set<number>
}

function tallyOf(list: List): Map<string, Tally> {
  const tally = new Map<string, Tally>()
  for (const { clause, open } of list) {
    const unlike = new Map<string, number>()
    clause.literals.forEach(({ test, answer }, literal) => {
      if ((open & (1 << literal)) === 0) return
      const subject = subjectOf(test)
      const entry = tally.get(subject) ?? { clauses: 0, excluding: 0, exclusions: 0, constants: new Set() }
      tally.set(subject, entry)
      const equation = asEquation(test)
      if (equation !== null) entry.constants.add(equation.right.value)
      const before = unlike.get(subject) ?? 0
      unlike.set(subject, equation === null || answer ? Number.NaN : before + 1)
    })
    for (const [subject, count] of unlike) {
      const entry = tally.get(subject)!
      entry.clauses++
      if (Number.isNaN(count)) continue
      entry.excluding++
      entry.exclusions += count
    }
  }
  return tally
}

/** The question that most clauses ask and whose copies the budget allows; null where no two clauses share one. */
function chooseSplit(list: List, budget: { copies: number }): string | null {
  const tally = tallyOf(list)
  const isShared = (clauses: number) => clauses > 1 && clauses >= Math.min(list.length * LEAST_SHARE, MANY)
  const ranked = [...tally]
    .filter(([, { clauses }]) => isShared(clauses))
    .sort(([, one], [, other]) => other.clauses - one.clauses)
  for (const [subject, { clauses, excluding, exclusions, constants }] of ranked) {
    // Who only excludes constants goes with every other one.
    const copies = (list.length - clauses) * Math.max(constants.size, 1) + excluding * constants.size - exclusions
    if (copies > budget.copies) continue
    budget.copies -= copies
    return subject
  }
  return null
}

function testOf(list: List, subject: string): Test {
  for (const { clause, open } of list) {
    const found = clause.literals.find(
      ({ test }, literal) => (open & (1 << literal)) !== 0 && subjectOf(test) === subject,
    )
    if (found !== undefined) return found.test
  }
  throw new Error(`no clause asks for ${subject}`)
}

/** What is left where the question has `answer`; for an equation a constant, or null for none that is asked for. */
function given(pending: Pending, subject: string, answer: boolean | number | null): Pending[] {
  let { open } = pending
  const contradicts = pending.clause.literals.some((literal, index) => {
    if ((open & (1 << index)) === 0 || subjectOf(literal.test) !== subject) return false
    open &= ~(1 << index)
    const holds = typeof answer === 'boolean' ? answer : asEquation(literal.test)!.right.value === answer
    return holds !== literal.answer
  })
  return contradicts ? [] : [{ ...pending, open }]
}

/** The part of the list for each constant that the subject is compared with. */
function casesOf(list: List, subject: string): Map<number, Pending[]> {
  const cases = new Map<number, Pending[]>()
  const wanted = list.map(({ clause, open }) =>
    clause.literals.filter(({ test }, index) => (open & (1 << index)) !== 0 && subjectOf(test) === subject),
  )
  for (const { test } of wanted.flat()) cases.set(asEquation(test)!.right.value, [])
  list.forEach((pending, index) => {
    const positive = wanted[index]!.find(({ answer }) => answer)
    const constants = positive === undefined ? cases.keys() : [asEquation(positive.test)!.right.value]
    for (const c of constants) cases.get(c)!.push(...given(pending, subject, c))
  })
  return cases
}

/**
 * Where a test could not be computed: without the clauses that need all that
 * it reads, as these cannot match either.
 */
function afterFailure(list: List, test: Test, subject: string): List {
  const reads = readsOf(test)
  const canDivide = valuesOf(test).some(divides)
  const needs = ({ clause, open }: Pending) => {
    const asks = clause.literals.some((literal, i) => (open & (1 << i)) !== 0 && subjectOf(literal.test) === subject)
    return asks || (!canDivide && reads.every(({ base, bytes }) => (clause.reads.get(keyOf(base)) ?? 0) >= bytes))
  }
  return list.filter((pending) => !needs(pending))
}

/** Compares the value of `test` with each case's constant, by halves where there are many. */
function chooseCase(
  builder: GraphBuilder,
  test: Test,
  cases: readonly (readonly [number, NodeId])[],
  otherwise: NodeId,
  fail: NodeId,
): NodeId {
  const { left } = asEquation(test)!
  const ask = (operator: '=' | '>', c: number, yes: NodeId, no: NodeId) =>
    connectCondition(builder, compare(left, operator, constant(c)), yes, no, fail)
  if (cases.length <= LINEAR_CASES) return cases.reduceRight((no, [c, yes]) => ask('=', c, yes, no), otherwise)
  const middle = cases.length >> 1
  const [lower, upper] = [cases.slice(0, middle), cases.slice(middle)]
  const half = (part: typeof cases) => chooseCase(builder, test, part, otherwise, fail)
  return ask('>', cases[middle - 1]![0], half(upper), half(lower))
}
