import { outcomeByRange, type Test, valuesOf } from '../condition.js'
import { createGraphBuilder, type Decision, type Graph, type Lookup, type NodeId } from '../graph.js'
import { divides, loadsOf, type Value } from '../value.js'

/** How far behind each base bytes are read, by the key of the base; the packet's start has the key ''. */
type Extents = ReadonlyMap<string, number>

const NOTHING: Extents = new Map()

/**
 * One bounds check for a run of reads. A packet that is shorter than what
 * every way to a match reads cannot match, so the first read may ask for all of
 * it at once:
 *
 *     need(test) = max(reads(test), min(need(yes), need(no)))
 *     need(where a failing read leads) = infinity
 *     need(everywhere else outside the rule) = 0
 *
 * for each base by itself. After this pass every read is behind a `check` that
 * covers it.
 */
export function placeBoundsChecks(graph: Graph): Graph {
  const { nodes, entry } = graph
  const needs = needsOf(graph)
  const checked = checkedAt(graph, needs)
  const builder = createGraphBuilder()
  const rebuilt = new Int32Array(nodes.length)
  nodes.forEach((node, id) => {
    if (node.kind === 'leaf') rebuilt[id] = builder.leaf(node.rule)
    if (node.kind === 'check')
      rebuilt[id] = builder.check(node.base, node.bytes, rebuilt[node.next]!, rebuilt[node.fail]!)
    if (node.kind !== 'decision' && node.kind !== 'lookup') return
    const fail = rebuilt[node.fail]!
    const before = checked[id] ?? NOTHING
    const missing = readsAt(node).filter((read) => read.bytes > (before.get(keyOf(read.base)) ?? 0))
    rebuilt[id] = missing.reduceRight(
      (next, { base }) => builder.check(base, needs[id]!.get(keyOf(base))!, next, fail),
      node.kind === 'decision'
        ? afterChecks(builder.decision, node, rebuilt)
        : builder.lookup(node.values, node.table, rebuilt[node.hit]!, rebuilt[node.miss]!, fail),
    )
  })
  return builder.finish(rebuilt[entry]!)
}

/** With its reads checked, a test that only they kept alive (`ip[0] >= 0`) can go. */
function afterChecks(
  decision: (test: Test, yes: NodeId, no: NodeId, fail: NodeId) => NodeId,
  node: Decision,
  rebuilt: Int32Array,
): NodeId {
  const canStillFail = valuesOf(node.test).some(divides)
  const outcome = canStillFail ? null : outcomeByRange(node.test)
  const yes = rebuilt[outcome === false ? node.no : node.yes]!
  const no = rebuilt[outcome === true ? node.yes : node.no]!
  return yes === no && !canStillFail ? yes : decision(node.test, yes, no, rebuilt[node.fail]!)
}

function needsOf({ nodes }: Graph): Extents[] {
  const needs: Extents[] = new Array(nodes.length)
  nodes.forEach((node, id) => {
    if (node.kind !== 'decision') {
      // No check moves up past a look-up: what that finds is kept even where a later read fails.
      needs[id] = node.kind === 'lookup' ? raised(NOTHING, readsAt(node)) : NOTHING
      return
    }
    const behind = (next: NodeId): Extents | null => {
      if (next === node.fail) return null
      const target = nodes[next]!
      const reads = target.kind === 'decision' || target.kind === 'lookup'
      return reads && target.fail === node.fail ? needs[next]! : NOTHING
    }
    needs[id] = raised(least(behind(node.yes), behind(node.no)), readsOf(node.test))
  })
  return needs
}

/** What is checked on every way to each node, before its own checks; undefined where no way leads. */
function checkedAt({ nodes, entry }: Graph, needs: readonly Extents[]): (Extents | undefined)[] {
  const checked: (Extents | undefined)[] = new Array(nodes.length)
  const flow = (target: NodeId, extents: Extents) => {
    const before = checked[target]
    checked[target] = before === undefined ? extents : least(before, extents)
  }
  checked[entry] = NOTHING
  for (let id = entry; id >= 0; id--) {
    const node = nodes[id]!
    const before = checked[id]
    if (node.kind === 'leaf' || before === undefined) continue
    flow(node.fail, before)
    if (node.kind === 'check') {
      flow(node.next, raised(before, [node]))
      continue
    }
    const missing = readsAt(node).filter((read) => read.bytes > (before.get(keyOf(read.base)) ?? 0))
    const after = raised(
      before,
      missing.map(({ base }) => ({ base, bytes: needs[id]!.get(keyOf(base))! })),
    )
    for (const target of node.kind === 'lookup' ? [node.hit, node.miss] : [node.yes, node.no]) flow(target, after)
  }
  return checked
}

interface Read {
  readonly base: Value | null
  readonly bytes: number
}

export function readsOf(test: Test): Read[] {
  return readsOfValues(valuesOf(test))
}

function readsAt(node: Decision | Lookup): Read[] {
  return node.kind === 'decision' ? readsOf(node.test) : readsOfValues(node.values)
}

/** The furthest read for each base; a base comes after the bases that it is computed with. */
export function readsOfValues(values: readonly Value[]): Read[] {
  const furthest = new Map<string, Read>()
  for (const { base, offset, size } of values.flatMap((value) => loadsOf(value))) {
    const key = keyOf(base)
    const bytes = offset + size
    if (bytes > (furthest.get(key)?.bytes ?? 0)) furthest.set(key, { base, bytes })
  }
  return [...furthest.values()]
}

export function keyOf(base: Value | null): string {
  return base === null ? '' : base.key
}

/** What both need; null is infinite. */
function least(one: Extents, other: Extents | null): Extents
function least(one: Extents | null, other: Extents | null): Extents
function least(one: Extents | null, other: Extents | null): Extents {
  if (one === null || other === null) return one ?? other ?? NOTHING
  const common = new Map<string, number>()
  for (const [key, bytes] of one) {
    const second = other.get(key)
    if (second !== undefined) common.set(key, Math.min(bytes, second))
  }
  return common
}

function raised(extents: Extents, reads: readonly Read[]): Extents {
  const copy = new Map(extents)
  for (const { base, bytes } of reads) copy.set(keyOf(base), Math.max(copy.get(keyOf(base)) ?? 0, bytes))
  return copy
}
