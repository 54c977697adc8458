import { FilterError, formatFilterError, parseFilter } from './filter/index.js'
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
import { isFinal, type PlaceOf, type Policy, PolicyError, type PolicyFault, type Rule } from './policy/index.js'

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

interface CompilePolicyOptions {
  /** By its `tcpdump -y` name. */
  readonly linkType?: string
  readonly placeOf?: PlaceOf
}

/** In longer lists only what single ways of single rules take is found, and in those of more tests in all. */
const MOST_SEARCHED = 100
const MOST_TESTS = 4000
/** More rules that take another's packets together are not named. */
const MOST_NAMED = 3

/**
 * The rule road for a policy: each expression to a condition, and the list to
 * graphs. Throws PolicyError with every expression that cannot be compiled for
 * the link type, `EN10MB` where nothing is said; `placeOf` says where each
 * stands, and without it the rule is named.
 */
export function compilePolicy(policy: Policy, options: CompilePolicyOptions = {}): CompiledPolicy {
  const conditions = conditionsOf(policy, options)
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

function conditionsOf({ rules, sets: named }: Policy, options: CompilePolicyOptions): readonly Condition[] {
  const { linkType = 'EN10MB', placeOf = ({ path }: PolicyFault) => nameOf(rules, Number(path[1])) } = options
  const sets = new Set(Object.keys(named))
  const faults: PolicyFault[] = []
  const conditions = rules.flatMap(({ match }, index) => {
    try {
      const { expression } = parseFilter(match, { sets, linkType })
      return [lower(expression, { linkType, netmask: 0 })]
    } catch (error) {
      if (!(error instanceof FilterError || error instanceof UnsupportedError)) throw error
      const { message, span } = error
      const [, ...shown] = formatFilterError(new FilterError(message, match, span)).split('\n')
      faults.push({ path: ['rules', index, 'match'], message, detail: shown.join('\n'), column: span.start })
      return []
    }
  })
  if (faults.length > 0) throw new PolicyError(faults, placeOf)
  return conditions
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
  const messages = new Map([...shadows].map(([rule, by]) => [rule, sentence(rules, rule, by)]))
  rules.forEach((rule, index) => {
    if (hasEnded(rule)) messages.set(index, `${nameOf(rules, index)} ${ENDED}`)
  })
  const warnings = [...messages].sort(([one], [other]) => one - other).map(([rule, message]) => ({ rule, message }))
  return unsearchedFrom === null ? warnings : [...warnings, unsearched(rules, unsearchedFrom)]
}

const ENDED = 'meets no packet, because the moment in its "until" has passed; write a later one, or remove the rule'

function hasEnded({ lifetime }: Rule): boolean {
  return lifetime?.kind === 'until' && lifetime.unixSeconds * 1000 <= Date.now()
}

function nameOf(rules: readonly Rule[], index: number): string {
  return `rule ${index + 1} "${rules[index]!.name}"`
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
  const named = (index: number) => nameOf(rules, index)
  if (by?.length === 0)
    return `${named(rule)} can never match, because its expression contradicts itself; correct or remove it`
  if (by?.length === 1)
    return `${named(rule)} is never reached, because ${named(by[0]!)} takes all of its packets; move it before that rule, or remove it`
  const takers = by === null || by.length > MOST_NAMED ? 'the rules before it' : by.map(named).join(' and ')
  return `${named(rule)} is never reached, because ${takers} take all of its packets together; move it up, or remove it`
}

/** Silence about the rest would say that there is nothing to warn of. */
function unsearched(rules: readonly Rule[], rule: number): PolicyWarning {
  const message = `from ${nameOf(rules, rule)} on, rules were not compared with all rules before them, because they are too many or too long: some may never be reached; put lists of addresses into sets`
  return { rule, message }
}
