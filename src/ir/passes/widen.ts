import { type Condition, compare, type Test, valuesOf } from '../condition.js'
import { buildGraph, type Graph, type NodeId } from '../graph.js'
import { constant, divides } from '../value.js'
import { keyOf, readsOf } from './bounds.js'
import { follows, type Literal, type Path } from './paths.js'
import { asEquation } from './shapes.js'

/** A way whose necessity takes longer to judge stays as it is. */
const MOST_STEPS = 600

/**
 * Ways to the match of `condition` without the equations that other ways make
 * needless; together they match what they did, but a packet may take several.
 *
 *     host A    src = A                        src = A
 *               src != A and dst = A      →    dst = A
 *
 * Without it neither a table nor a split by the source could hold the second
 * way, as its packets have any source but one. What a way reads stays: where
 * nothing else on it reads as far, the equation becomes `src >= 0`.
 */
export function widenPaths(condition: Condition, paths: readonly Path[]): Path[] {
  if (!paths.some((path) => path.some(isExclusion))) return [...paths]
  const graph = buildGraph([condition])
  const widened = new Map<string, Path>()
  for (const path of paths) {
    const wide = path.some(isExclusion) ? widen(graph, path) : path
    widened.set(keyOfPath(wide), wide)
  }
  return [...widened.values()]
}

function isExclusion({ test, answer }: Literal): boolean {
  return !answer && asEquation(test) !== null
}

function widen(graph: Graph, path: Path): Path {
  const exclusionsFirst = [...path.filter(isExclusion), ...path.filter((literal) => !isExclusion(literal))]
  let wide = path
  for (const literal of exclusionsFirst) {
    const equation = asEquation(literal.test)
    if (equation === null || valuesOf(literal.test).some(divides)) continue
    const others = wide.filter((other) => other !== literal)
    const narrower = readsAsFar(others, literal.test) ? others : [...others, ...readingOf(equation.left)]
    if (isEnough(graph, narrower)) wide = narrower
  }
  return wide
}

/** Nothing but the reads of a value. */
function readingOf(value: Parameters<typeof compare>[0]): Literal[] {
  const condition = compare(value, '>=', constant(0))
  return condition.kind === 'test' ? [{ test: condition.test, answer: true }] : []
}

/** Whether each packet for which the literals hold is matched, whatever else its bytes are. */
function isEnough({ nodes, entry }: Graph, literals: Path): boolean {
  let steps = 0
  const matches = (id: NodeId): boolean => {
    const node = nodes[id]!
    if (node.kind === 'leaf') return node.rule !== null
    if (node.kind !== 'decision' || ++steps > MOST_STEPS) return false
    const known = follows(literals, node.test)
    if (known !== null) return matches(known ? node.yes : node.no)
    // A read that fails would be no match.
    return readsAsFar(literals, node.test) && matches(node.yes) && matches(node.no)
  }
  return matches(entry)
}

/** Whether `test` can be computed wherever the literals can. */
function readsAsFar(literals: Path, test: Test): boolean {
  if (valuesOf(test).some(divides)) return false
  const reads = literals.flatMap((literal) => readsOf(literal.test))
  return readsOf(test).every(({ base, bytes }) =>
    reads.some((read) => keyOf(read.base) === keyOf(base) && read.bytes >= bytes),
  )
}

function keyOfPath(path: Path): string {
  return path
    .map(({ test, answer }) => `${answer} ${test.key}`)
    .sort()
    .join()
}
