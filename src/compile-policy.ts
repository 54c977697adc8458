import { FilterError, type FilterOptions, formatFilterError, parseFilter } from './filter/index.js'
import { buildGraph, type Condition, type Graph, lower, UnsupportedError, unreachableRules } from './ir/index.js'
import { isFinal, type Policy, PolicyError, type Rule } from './policy/index.js'

/** A run of rules whose first match decides; behind its last rule the list may go on for a packet that it matched. */
export interface PolicySegment {
  /** As lowered: leaf `i` is rule `rules[i]` of the policy. */
  readonly graph: Graph
  readonly rules: readonly number[]
}

/** Something in a policy that can hardly be meant; the policy works all the same. */
export interface PolicyWarning {
  /** Index of the rule. */
  readonly rule: number
  /** One sentence: what, why and what to do. */
  readonly message: string
}

/** A policy as decision graphs, one behind the other, and what is odd about it. */
export interface CompiledPolicy {
  readonly policy: Policy
  readonly segments: readonly PolicySegment[]
  readonly warnings: readonly PolicyWarning[]
}

/** Longer lists are searched only for repeated expressions: finding what nothing reaches takes the square of their length. */
const MOST_SEARCHED = 100
/** Pairs of rules that are tried to find the one that shadows another. */
const MOST_PAIRS = 400

/**
 * The rule road for a policy: each expression to a condition, and the list to
 * graphs. Throws PolicyError, which names the rule, where an expression cannot
 * be compiled for the link type, `EN10MB` where nothing is said.
 */
export function compilePolicy(policy: Policy, options: { readonly linkType?: string } = {}): CompiledPolicy {
  const { linkType = 'EN10MB' } = options
  const sets = new Set(Object.keys(policy.sets))
  const conditions = policy.rules.map((rule, index) => conditionOf(rule, index, { sets, linkType }))
  return { policy, segments: cutIntoSegments(policy.rules, conditions), warnings: warningsOf(policy.rules, conditions) }
}

function conditionOf({ name, match }: Rule, index: number, options: FilterOptions & { linkType: string }): Condition {
  try {
    const { expression } = parseFilter(match, options)
    return lower(expression, { linkType: options.linkType, netmask: 0 })
  } catch (error) {
    if (!(error instanceof FilterError || error instanceof UnsupportedError)) throw error
    const [, ...place] = formatFilterError(new FilterError(error.message, match, error.span)).split('\n')
    const fault = { path: ['rules', index, 'match'], message: error.message, detail: place.join('\n') }
    throw new PolicyError([fault], () => `rule ${index + 1} "${name}"`)
  }
}

/** A rule that ends by itself may have ended: then its packets meet the rules behind it. */
function endsList(rule: Rule): boolean {
  return isFinal(rule) && rule.lifetime === null
}

function cutIntoSegments(rules: readonly Rule[], conditions: readonly Condition[]): PolicySegment[] {
  const segments: PolicySegment[] = []
  let current: number[] = []
  const close = () => {
    if (current.length > 0)
      segments.push({ graph: buildGraph(current.map((rule) => conditions[rule]!)), rules: current })
    current = []
  }
  rules.forEach((rule, index) => {
    current.push(index)
    if (!endsList(rule)) close()
  })
  close()
  return segments
}

function warningsOf(rules: readonly Rule[], conditions: readonly Condition[]): PolicyWarning[] {
  const listed = rules.map((rule, index) => ({ condition: conditions[index]!, isFinal: endsList(rule) }))
  const repeated = repeatedRules(rules)
  const unreachable = rules.length <= MOST_SEARCHED ? unreachableRules(listed) : [...repeated.keys()]
  let pairs = 0
  /** The first rule that takes all packets of `rule` by itself; null where none does, or too many would have to be tried. */
  const shadowOf = (rule: number): number | null => {
    const same = repeated.get(rule)
    if (same !== undefined) return same
    for (let before = 0; before < rule && pairs < MOST_PAIRS; before++) {
      if (!listed[before]!.isFinal) continue
      pairs++
      if (unreachableRules([listed[before]!, listed[rule]!]).includes(1)) return before
    }
    return null
  }
  return unreachable.map((rule) => ({ rule, message: sentence(rules, rule, listed[rule]!, shadowOf) }))
}

/** Rules whose expression a final rule before them has too, and that rule. */
function repeatedRules(rules: readonly Rule[]): ReadonlyMap<number, number> {
  const first = new Map<string, number>()
  const repeated = new Map<number, number>()
  rules.forEach((rule, index) => {
    const before = first.get(rule.match)
    if (before !== undefined) repeated.set(index, before)
    else if (endsList(rule)) first.set(rule.match, index)
  })
  return repeated
}

function sentence(
  rules: readonly Rule[],
  rule: number,
  listed: { readonly condition: Condition; readonly isFinal: boolean },
  shadowOf: (rule: number) => number | null,
): string {
  const nameOf = (index: number) => `rule ${index + 1} "${rules[index]!.name}"`
  if (unreachableRules([listed]).length > 0)
    return `${nameOf(rule)} can never match, because its expression contradicts itself; correct or remove it`
  const shadow = shadowOf(rule)
  if (shadow !== null)
    return `${nameOf(rule)} is never reached, because ${nameOf(shadow)} takes all of its packets; move it before that rule, or remove it`
  return `${nameOf(rule)} is never reached, because the rules before it take all of its packets together; move it up, or remove it`
}
