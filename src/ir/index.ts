export { type Comparison, type Condition, compare, type Membership, type Test, valuesOf } from './condition.js'
export { UnsupportedError } from './errors.js'
export { binary, possibleBits } from './fold.js'
export {
  buildGraph,
  type Check,
  type Decision,
  type Graph,
  type Leaf,
  type Lookup,
  type Node,
  type NodeId,
  successorsOf,
} from './graph.js'
export { evaluate, interpret, type Packet, type SetLookup } from './interpret.js'
export { LINK_TYPES } from './link/types.js'
export type { LookupTable } from './lookup-table.js'
export { type LowerOptions, lower } from './lower.js'
export { oncePerObject } from './once-per-object.js'
export { optimize, optimizeRules } from './optimize.js'
export { keyOf, placeBoundsChecks, readsOf, readsOfValues } from './passes/bounds.js'
export { threadJumps } from './passes/thread.js'
export { printGraph, printValue } from './print.js'
export { type ListedRule, testsIn, unreachableRules } from './reach.js'
export { findShadows, type ShadowedRule, type ShadowSearch } from './shadows.js'
export { constant, divides, type Load, load, loadsOf, type Value, wireLength } from './value.js'
