import { type Condition, canFail, type Test, valuesOf } from './condition.js'
import type { LookupTable } from './lookup-table.js'
import { oncePerObject } from './once-per-object.js'
import type { Value } from './value.js'

/** Index into `Graph.nodes`. */
export type NodeId = number

/**
 * Rules as one acyclic decision graph. Successors have smaller numbers than
 * their predecessors, so a loop upwards visits results first and a loop
 * downwards visits causes first; no pass needs recursion.
 */
export interface Graph {
  readonly nodes: readonly Node[]
  readonly entry: NodeId
}

export type Node = Leaf | Decision | Check | Lookup

/** The end: the index of the first rule that matched, or null. A rule that a look-up found on the way and that comes before it goes first. */
export interface Leaf {
  readonly kind: 'leaf'
  readonly rule: number | null
}

/** `fail` is where a read beyond the captured bytes or a division by zero leads: past the rule. */
export interface Decision {
  readonly kind: 'decision'
  readonly test: Test
  readonly yes: NodeId
  readonly no: NodeId
  readonly fail: NodeId
}

/** Goes on to `next` where `base + bytes` bytes are captured (a null base is 0), otherwise to `fail`. */
export interface Check {
  readonly kind: 'check'
  readonly base: Value | null
  readonly bytes: number
  readonly next: NodeId
  readonly fail: NodeId
}

/**
 * Asks a table for the rule of a tuple of values. What it finds is kept while
 * the walk goes on at `hit`, unless an earlier rule has been found before: the
 * walk ends with the first of all rules that it found and the one of its leaf.
 */
export interface Lookup {
  readonly kind: 'lookup'
  readonly values: readonly Value[]
  readonly table: LookupTable
  readonly hit: NodeId
  readonly miss: NodeId
  readonly fail: NodeId
}

/** Makes nodes from the leaves upwards; equal nodes are one node. */
export interface GraphBuilder {
  leaf(rule: number | null): NodeId
  /** Left out where both answers lead to one node and nothing can fail on the way. */
  decision(test: Test, yes: NodeId, no: NodeId, fail: NodeId): NodeId
  check(base: Value | null, bytes: number, next: NodeId, fail: NodeId): NodeId
  lookup(values: readonly Value[], table: LookupTable, hit: NodeId, miss: NodeId, fail: NodeId): NodeId
  /** The graph from `entry` on, without nodes that it does not reach. */
  finish(entry: NodeId): Graph
}

export function createGraphBuilder(): GraphBuilder {
  const nodes: Node[] = []
  const known = new Map<string, NodeId>()
  const add = (key: string, node: Node): NodeId => {
    let id = known.get(key)
    if (id === undefined) {
      id = nodes.push(node) - 1
      known.set(key, id)
    }
    return id
  }
  return {
    leaf: (rule) => add(`leaf ${rule}`, { kind: 'leaf', rule }),
    decision(test, yes, no, fail) {
      if (yes === no && (yes === fail || !canFail(test))) return yes
      if (valuesOf(test).some(alwaysFails)) return fail
      return add(`${test.key}?${yes}:${no}:${fail}`, { kind: 'decision', test, yes, no, fail })
    },
    check(base, bytes, next, fail) {
      if (next === fail) return next
      return add(`${base?.key ?? 0}+${bytes}?${next}:${fail}`, { kind: 'check', base, bytes, next, fail })
    },
    lookup(values, table, hit, miss, fail) {
      if (values.some(alwaysFails)) return fail
      const key = `${values.map((value) => value.key).join()} in ${table.key}?${hit}:${miss}:${fail}`
      return add(key, { kind: 'lookup', values, table, hit, miss, fail })
    },
    finish: (entry) => reachable(nodes, entry),
  }
}

/**
 * The graph that tries `rules` in order: the first whose condition holds gives
 * its index. What fails in one rule goes on with the next.
 */
export function buildGraph(rules: readonly Condition[]): Graph {
  const builder = createGraphBuilder()
  let entry = builder.leaf(null)
  for (let rule = rules.length - 1; rule >= 0; rule--) {
    entry = connectCondition(builder, rules[rule]!, builder.leaf(rule), entry, entry)
  }
  return builder.finish(entry)
}

/** Nodes for `condition` in front of what its three outcomes lead to. */
export function connectCondition(
  builder: GraphBuilder,
  condition: Condition,
  yes: NodeId,
  no: NodeId,
  fail: NodeId,
): NodeId {
  switch (condition.kind) {
    case 'always':
      return condition.value ? yes : no
    case 'test':
      return builder.decision(condition.test, yes, no, fail)
    case 'not':
      return connectCondition(builder, condition.operand, no, yes, fail)
    case 'all':
      return condition.operands.reduceRight((next, operand) => connectCondition(builder, operand, next, no, fail), yes)
    case 'any':
      return condition.operands.reduceRight((next, operand) => connectCondition(builder, operand, yes, next, fail), no)
  }
}

/** Division by a constant zero. */
const alwaysFails = oncePerObject((value: Value): boolean => {
  if (value.kind === 'load') return value.base !== null && alwaysFails(value.base)
  if (value.kind !== 'binary') return false
  const divides = value.operator === '/' || value.operator === '%'
  if (divides && value.right.kind === 'constant' && value.right.value === 0) return true
  return alwaysFails(value.left) || alwaysFails(value.right)
})

/** The nodes that `node` names; a test that cannot fail names the end of its rule all the same. */
export function successorsOf(node: Node): readonly NodeId[] {
  if (node.kind === 'leaf') return []
  if (node.kind === 'check') return [node.next, node.fail]
  if (node.kind === 'lookup') return [node.hit, node.miss, node.fail]
  return [node.yes, node.no, node.fail]
}

function reachable(nodes: readonly Node[], entry: NodeId): Graph {
  const used = new Uint8Array(nodes.length)
  used[entry] = 1
  for (let id = entry; id >= 0; id--) {
    if (used[id] === 1) for (const next of successorsOf(nodes[id]!)) used[next] = 1
  }
  const renumbered = new Int32Array(nodes.length)
  const kept: Node[] = []
  for (let id = 0; id <= entry; id++) {
    if (used[id] === 1) renumbered[id] = kept.push(renumber(nodes[id]!, renumbered)) - 1
  }
  return { nodes: kept, entry: renumbered[entry]! }
}

function renumber(node: Node, to: Int32Array): Node {
  if (node.kind === 'leaf') return node
  const fail = to[node.fail]!
  if (node.kind === 'check') return { ...node, next: to[node.next]!, fail }
  if (node.kind === 'lookup') return { ...node, hit: to[node.hit]!, miss: to[node.miss]!, fail }
  return { ...node, yes: to[node.yes]!, no: to[node.no]!, fail }
}
