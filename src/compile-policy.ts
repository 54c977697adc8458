import { FilterError, type FilterOptions, formatFilterError, parseFilter } from './filter/index.js'
import {
  buildGraph,
  type Condition,
  findShadows,
  type Graph,
  lower,
  testsIn,
  UnsupportedError,
  unreachableRules,
} from './ir/index.js'
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
  /** What each rule asks, in the order of the rules. */
  readonly conditions: readonly Condition[]
  readonly segments: readonly PolicySegment[]
  readonly warnings: readonly PolicyWarning[]
}

/** In longer lists only what single ways of single rules take is found, and in those of more tests in all. */
const MOST_SEARCHED = 100
const MOST_TESTS = 4000
/** More rules that take another's packets together are not named. */
const MOST_NAMED = 3

/**
 * The rule road for a policy: each expression to a condition, and the list to
 * graphs. Throws PolicyError, which names the rule, where an expression cannot
 * be compiled for the link type, `EN10MB` where nothing is said.
 */
export function compilePolicy(policy: Policy, options: { readonly linkType?: string } = {}): CompiledPolicy {
  const { linkType = 'EN10MB' } = options
  const sets = new Set(Object.keys(policy.sets))
  const conditions = policy.rules.map((rule, index) => conditionOf(rule, index, { sets, linkType }))
  let segments: readonly PolicySegment[] | null = null
  return {
    policy,
    conditions,
    // Many want the warnings only, and the plain graph of ten thousand rules is large.
    get segments() {
      segments ??= cutIntoSegments(policy.rules, conditions)
      return segments
    },
    warnings: warningsOf(policy.rules, conditions),
  }
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
  const { shadowed, unsearchedFrom } = findShadows(listed)
  const shadows = new Map<number, readonly number[] | null>(shadowed.map(({ rule, by }) => [rule, by]))
  for (const [rule, before] of repeatedRules(rules)) if (!shadows.has(rule)) shadows.set(rule, [before])
  // What only many rules together take takes the square of a list's length to find.
  if (rules.length <= MOST_SEARCHED && testsIn(listed) <= MOST_TESTS)
    for (const rule of unreachableRules(listed)) if (!shadows.has(rule)) shadows.set(rule, null)
  const warnings = [...shadows]
    .sort(([one], [other]) => one - other)
    .map(([rule, by]) => ({ rule, message: sentence(rules, rule, by) }))
  return unsearchedFrom === null ? warnings : [...warnings, unsearched(rules, unsearchedFrom)]
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

function sentence(rules: readonly Rule[], rule: number, by: readonly number[] | null): string {
  const nameOf = (index: number) => `rule ${index + 1} "${rules[index]!.name}"`
  if (by?.length === 0)
    return `${nameOf(rule)} can never match, because its expression contradicts itself; correct or remove it`
  if (by?.length === 1)
    return `${nameOf(rule)} is never reached, because ${nameOf(by[0]!)} takes all of its packets; move it before that rule, or remove it`
  const takers = by === null || by.length > MOST_NAMED ? 'the rules before it' : by.map(nameOf).join(' and ')
  return `${nameOf(rule)} is never reached, because ${takers} take all of its packets together; move it up, or remove it`
}

/** Silence about the rest would say that there is nothing to warn of. */
function unsearched(rules: readonly Rule[], rule: number): PolicyWarning {
  const message = `from rule ${rule + 1} "${rules[rule]!.name}" on, rules were not compared with all rules before them, because they are too many or too long: some may never be reached; put lists of addresses into sets`
  return { rule, message }
}
