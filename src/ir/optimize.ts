import type { Graph } from './graph.js'
import { placeBoundsChecks } from './passes/bounds.js'
import { threadJumps } from './passes/thread.js'

/** All rewrites, in their order: decisions first, then the bounds checks that the remaining reads need. */
export function optimize(graph: Graph): Graph {
  return placeBoundsChecks(threadJumps(graph))
}
