import { type Action, emitXdp, type XdpOptions } from './codegen/index.js'
import type { Program } from './ebpf/index.js'
import { type FilterOptions, type ParsedFilter, parseFilter } from './filter/index.js'
import { buildGraph, type Condition, type Graph, lower, optimize, optimizeRules } from './ir/index.js'

/** One rule as the operator states it; `name` is for messages and tables. */
export interface Rule {
  /** A filter expression in tcpdump's language; an empty one matches every packet. */
  readonly match: string
  readonly action: Action
  readonly name?: string
}

/** Every form of a rule on its way, for those who want to look at one. */
export interface CompiledRules {
  readonly filters: readonly ParsedFilter[]
  /** As lowered: the order of the text. */
  readonly graph: Graph
  readonly optimized: Graph
}

export type CompileOptions = FilterOptions & XdpOptions

/**
 * The rule road up to the IR: text, AST, decision graph, optimized graph; leaf
 * `i` is where expression `i` is the first to match. Throws FilterError for
 * what is no filter, UnsupportedError for what is not compiled.
 *
 *     interpret(compileFilter('udp port 53').optimized, { bytes, wireLength }) === 0
 */
export function compileFilter(match: string | readonly string[], options: FilterOptions = {}): CompiledRules {
  const { filters, conditions } = readFilters(typeof match === 'string' ? [match] : match, options)
  const graph = buildGraph(conditions)
  return { filters, graph, optimized: optimize(graph) }
}

/**
 * The whole rule road: rules, first match wins, to one XDP program with the
 * counters of rule `i` under key `i`. Questions that several rules ask are
 * asked once, and rules of one shape become a table. Throws as `compileFilter`
 * does.
 */
export function compileRules(
  rules: readonly Rule[],
  options: CompileOptions = {},
): CompiledRules & { readonly program: Program } {
  const { filters, conditions } = readFilters(
    rules.map(({ match }) => match),
    options,
  )
  const optimized = optimizeRules(conditions)
  const actions = rules.map(({ action }) => action)
  let graph: Graph | null = null
  return {
    filters,
    /** Nothing on the way to the program needs it, and for ten thousand rules it takes half a second. */
    get graph() {
      graph ??= buildGraph(conditions)
      return graph
    },
    optimized,
    program: emitXdp(optimized, actions, options),
  }
}

/** `compileRules` for one rule. */
export function compileRule(rule: Rule, options: CompileOptions = {}): CompiledRules & { readonly program: Program } {
  return compileRules([rule], options)
}

function readFilters(texts: readonly string[], options: FilterOptions) {
  const filters = texts.map((text) => parseFilter(text, options))
  return { filters, conditions: filters.map((filter) => conditionOf(filter, options)) }
}

function conditionOf({ expression, linkType }: ParsedFilter, { netmask = 0 }: FilterOptions): Condition {
  return lower(expression, { linkType, netmask })
}
