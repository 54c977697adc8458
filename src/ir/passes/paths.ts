import type { Condition, Test } from '../condition.js'
import { decide, type Facts, learn, NO_FACTS } from '../facts.js'
import { buildGraph, type NodeId } from '../graph.js'
import { asEquation } from './shapes.js'

/** A test and the answer that it must give. */
export interface Literal {
  readonly test: Test
  readonly answer: boolean
}

/**
 * One way to a match: it is taken where every test can be computed and gives
 * its answer. A packet takes at most one way through a rule, and the order of
 * the tests on it is free.
 */
export type Path = readonly Literal[]

/** A rule with more ways than these is asked as it stands. */
const MOST_PATHS = 16
const MOST_STEPS = 600

/** What has been found out on the way to a node. */
interface Trail {
  readonly facts: Facts
  readonly literals: readonly Literal[]
}

/**
 * All ways to a match of `condition`, or null where they are too many. Of
 * tests in `varying` (by key) only what holds for every constant is concluded:
 * that a number which is one constant is not another.
 */
export function pathsTo(condition: Condition, varying: ReadonlySet<string>): Path[] | null {
  const { nodes, entry } = buildGraph([condition])
  const paths: Path[] = []
  let steps = 0
  const walk = (id: NodeId, { facts, literals }: Trail): void => {
    if (++steps > MOST_STEPS) return
    const node = nodes[id]!
    if (node.kind === 'leaf' && node.rule !== null) paths.push(withoutImplied(literals))
    if (node.kind !== 'decision') return
    const { test } = node
    const known = follows(literals, test) ?? (varying.has(test.key) ? null : decide(facts, test))
    for (const answer of known === null ? [true, false] : [known]) {
      const next = answer ? node.yes : node.no
      if (known !== null) walk(next, { facts, literals })
      else {
        const learnt = varying.has(test.key) ? facts : learn(facts, test, answer)
        walk(next, { facts: learnt, literals: [...literals, { test, answer }] })
      }
    }
  }
  walk(entry, { facts: NO_FACTS, literals: [] })
  return steps > MOST_STEPS || paths.length > MOST_PATHS ? null : paths
}

/** The answer of `test` where one of the literals gives it; null where none does. */
export function follows(literals: readonly Literal[], test: Test): boolean | null {
  const equation = asEquation(test)
  for (const literal of literals) {
    if (literal.test.key === test.key) return literal.answer
    const other = literal.answer ? asEquation(literal.test) : null
    if (other !== null && equation !== null && other.left.key === equation.left.key) return false
  }
  return null
}

/** `x = 1 and not x = 2` is `x = 1`, which reads the same. */
function withoutImplied(literals: readonly Literal[]): Path {
  const positive = new Set(literals.flatMap(({ test, answer }) => (answer ? (asEquation(test)?.left.key ?? []) : [])))
  return literals.filter(({ test, answer }) => answer || !positive.has(asEquation(test)?.left.key ?? ''))
}
