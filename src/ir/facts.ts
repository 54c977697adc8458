import type { Comparison, Test } from './condition.js'
import { possibleBits } from './fold.js'
import { MAX_U32, type Value } from './value.js'

/**
 * What is known about a packet at one edge of the graph, from the answers that
 * lead there. A value that has a domain has been computed on the way, so
 * deciding a test by its domain drops no read that could have failed.
 */
export interface Facts {
  /** Answers by the key of the test. */
  readonly answers: ReadonlyMap<string, boolean>
  /** By the key of the value. */
  readonly domains: ReadonlyMap<string, Domain>
}

/** Which numbers a value can still be: `min..max`, `value & bits = ones`, and none of the excluded ones. */
interface Domain {
  readonly min: number
  readonly max: number
  readonly bits: number
  readonly ones: number
  readonly excluded: readonly Masked[]
}

/** All numbers with `number & mask = wanted`. */
interface Masked {
  readonly mask: number
  readonly wanted: number
}

/** The oldest facts are forgotten beyond this, which costs a test and never an answer. */
const MOST_DOMAINS = 48
const MOST_ANSWERS = 96
const MOST_EXCLUDED = 48

export const NO_FACTS: Facts = { answers: new Map(), domains: new Map() }

/** What is known where `test` has given `answer`. */
export function learn(facts: Facts, test: Test, answer: boolean): Facts {
  const answers = withEntry(facts.answers, test.key, answer, MOST_ANSWERS)
  const question = maskedQuestion(test)
  if (question === null) return { answers, domains: facts.domains }
  const { value } = question
  const before = facts.domains.get(value.key) ?? wholeDomain(value)
  const after = narrowed(before, question, answer)
  return { answers, domains: withEntry(facts.domains, value.key, after, MOST_DOMAINS) }
}

/** The answer of `test` where the facts imply one, otherwise null. */
export function decide(facts: Facts, test: Test): boolean | null {
  const known = facts.answers.get(test.key)
  if (known !== undefined) return known
  const question = maskedQuestion(test)
  const domain = question === null ? undefined : facts.domains.get(question.value.key)
  if (question === null || domain === undefined) return null
  if (question.operator === '=') return decideEqual(domain, question)
  if (question.mask !== MAX_U32) return null
  const limit = question.operator === '>' ? question.wanted : question.wanted - 1
  return domain.min > limit ? true : domain.max <= limit ? false : null
}

/** What holds on both ways that meet in one node. */
export function meet(one: Facts, other: Facts): Facts {
  const answers = new Map<string, boolean>()
  for (const [key, answer] of one.answers) if (other.answers.get(key) === answer) answers.set(key, answer)
  const domains = new Map<string, Domain>()
  for (const [key, domain] of one.domains) {
    const second = other.domains.get(key)
    if (second !== undefined) domains.set(key, joined(domain, second))
  }
  return { answers, domains }
}

/** `value & mask operator wanted` of tests against a constant. */
interface Question extends Masked {
  readonly operator: Comparison['operator']
  readonly value: Value
}

/** The question that a test against a constant is; null for any other test. */
export function maskedQuestion(test: Test): Question | null {
  if (test.operator === 'in') return null
  const { operator, left, right } = test
  if (right.kind !== 'constant') return null
  if (left.kind === 'binary' && left.operator === '&' && left.right.kind === 'constant')
    return { operator, value: left.left, mask: left.right.value, wanted: right.value }
  return { operator, value: left, mask: MAX_U32, wanted: right.value }
}

function wholeDomain(value: Value): Domain {
  return { min: 0, max: value.max, bits: ~possibleBits(value) >>> 0, ones: 0, excluded: [] }
}

function narrowed(domain: Domain, { operator, mask, wanted }: Question, answer: boolean): Domain {
  if (operator === '=') return answer ? withBits(domain, mask, wanted) : without(domain, { mask, wanted })
  if (mask !== MAX_U32) return domain
  const limit = operator === '>' ? wanted : wanted - 1
  return answer ? { ...domain, min: Math.max(domain.min, limit + 1) } : { ...domain, max: Math.min(domain.max, limit) }
}

function withBits(domain: Domain, mask: number, wanted: number): Domain {
  const bits = (domain.bits | mask) >>> 0
  const ones = (domain.ones | (wanted & mask)) >>> 0
  return bits === MAX_U32 ? { ...domain, bits, ones, min: ones, max: ones } : { ...domain, bits, ones }
}

function without(domain: Domain, masked: Masked): Domain {
  const { mask, wanted } = masked
  // A number with bits outside the mask never comes out of it: that it did not says nothing.
  if ((wanted & ~mask) !== 0) return domain
  const isOneBit = (mask & (mask - 1)) === 0
  if (isOneBit) return withBits(domain, mask, wanted === 0 ? mask : 0)
  if (domain.excluded.length >= MOST_EXCLUDED) return domain
  return { ...domain, excluded: [...domain.excluded, masked] }
}

function decideEqual({ min, max, bits, ones, excluded }: Domain, { mask, wanted }: Masked): boolean | null {
  if ((bits & mask & (ones ^ wanted)) !== 0 || (wanted & ~mask) !== 0) return false
  if ((mask & ~bits) === 0) return true
  if (mask === MAX_U32 && (wanted < min || wanted > max)) return false
  const isExcluded = (other: Masked) => (other.mask & ~mask) === 0 && (wanted & other.mask) >>> 0 === other.wanted
  return excluded.some(isExcluded) ? false : null
}

function joined(one: Domain, other: Domain): Domain {
  const bits = (one.bits & other.bits & ~(one.ones ^ other.ones)) >>> 0
  return {
    min: Math.min(one.min, other.min),
    max: Math.max(one.max, other.max),
    bits,
    ones: (one.ones & bits) >>> 0,
    excluded: one.excluded.filter(({ mask, wanted }) => decideEqual(other, { mask, wanted }) === false),
  }
}

function withEntry<T>(map: ReadonlyMap<string, T>, key: string, value: T, most: number): ReadonlyMap<string, T> {
  const copy = new Map(map)
  copy.delete(key)
  copy.set(key, value)
  if (copy.size > most) copy.delete(copy.keys().next().value!)
  return copy
}
