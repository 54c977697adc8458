import type { Condition } from './condition.js'
import { buildGraph, type Graph } from './graph.js'
import { placeBoundsChecks } from './passes/bounds.js'
import { mergeRules } from './passes/merge.js'
import { threadJumps } from './passes/thread.js'

/** All rewrites, in their order: decisions first, then the bounds checks that the remaining reads need. */
export function optimize(graph: Graph): Graph {
  return placeBoundsChecks(threadJumps(graph))
}

/**
 * The graph of a list of rules, the first match wins, as `buildGraph` has it,
 * but with what many rules ask asked once. One rule keeps the order of its text.
 */
export function optimizeRules(conditions: readonly Condition[]): Graph {
  return optimize(conditions.length < 2 ? buildGraph(conditions) : mergeRules(conditions))
}
