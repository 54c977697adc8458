import type { RelationOperator } from '../filter/index.js'
import { binary, constantOperand, possibleBits } from './fold.js'
import { constant, type Value } from './value.js'

/**
 * What a lowered rule asks, still as a tree: operands are evaluated in order
 * and only as far as needed, and a failing read anywhere ends the whole rule
 * without a match, also inside `not`.
 */
export type Condition =
  | { readonly kind: 'always'; readonly value: boolean }
  | { readonly kind: 'test'; readonly test: Test }
  | { readonly kind: 'not'; readonly operand: Condition }
  | { readonly kind: 'all' | 'any'; readonly operands: readonly Condition[] }

/** One question about a packet; two tests with one key have the same answer on every packet. */
export type Test = Comparison | Membership

/** An unsigned comparison; the other three operators are these, negated or with their sides exchanged. */
export interface Comparison {
  readonly operator: '=' | '>' | '>='
  readonly left: Value
  readonly right: Value
  readonly key: string
}

/**
 * The address that `words` spell, one for IPv4 and four for IPv6, most
 * significant first, is in the set called `set`. What the set holds can change
 * while a program runs, so nothing is concluded from one answer but the same
 * answer.
 */
export interface Membership {
  readonly operator: 'in'
  readonly set: string
  readonly family: 4 | 6
  readonly words: readonly Value[]
  readonly key: string
}

/** All of them, in order; of none: always. */
export function all(...operands: readonly Condition[]): Condition {
  return { kind: 'all', operands }
}

/** One of them, in order; of none: never. */
export function any(...operands: readonly Condition[]): Condition {
  return { kind: 'any', operands }
}

export function not(operand: Condition): Condition {
  return operand.kind === 'not' ? operand.operand : { kind: 'not', operand }
}

/** `left operator right` in the one form that all equal tests share. */
export function compare(left: Value, operator: RelationOperator, right: Value): Condition {
  switch (operator) {
    case '=':
      return equal(left, right)
    case '!=':
      return not(equal(left, right))
    case '>':
      return greater(left, right)
    case '<=':
      return not(greater(left, right))
    case '>=':
      return greaterOrEqual(left, right)
    case '<':
      return not(greaterOrEqual(left, right))
  }
}

/** The address in `words` is in the set; its family follows from how many words there are. */
export function isIn(set: string, words: readonly [Value] | readonly [Value, Value, Value, Value]): Condition {
  const key = `${words.map((word) => word.key).join(' ')} in @${set}`
  return { kind: 'test', test: { operator: 'in', set, family: words.length === 1 ? 4 : 6, words, key } }
}

/** `value & mask = wanted`; a mask of 0 asks nothing and reads nothing. */
export function matchesMask(value: Value, mask: number, wanted: number): Condition {
  return equal(binary('&', value, constant(mask)), constant(wanted))
}

/**
 * Equations that bring the constant to the right alone:
 *
 *     x + a = c   is  x = c - a          x & bit = bit  is  not (x & bit = 0)
 *     x ^ a = c   is  x = c ^ a          x >> a = c     is  x & ~(2^a - 1) = c << a
 */
function equal(left: Value, right: Value): Condition {
  if (right.kind !== 'constant') {
    if (left.kind === 'constant') return equal(right, left)
    return left.key <= right.key ? decided('=', left, right) : decided('=', right, left)
  }
  const c = right.value
  const sum = constantOperand(left, '+')
  if (sum !== null) return equal(sum.value, constant(c - sum.constant))
  const difference = constantOperand(left, '^')
  if (difference !== null) return equal(difference.value, constant(c ^ difference.constant))
  const shift = constantOperand(left, '>>')
  if (shift !== null && c < 2 ** (32 - shift.constant))
    return matchesMask(shift.value, (-1 << shift.constant) >>> 0, (c << shift.constant) >>> 0)
  const bits = constantOperand(left, '&')
  const oneBit = possibleBits(left)
  if (bits !== null && c !== 0 && c === oneBit && (oneBit & (oneBit - 1)) === 0)
    return not(decided('=', left, constant(0)))
  return decided('=', left, right)
}

function greater(left: Value, right: Value): Condition {
  if (right.kind === 'constant' && right.value === 0) return not(equal(left, right))
  return decided('>', left, right)
}

function greaterOrEqual(left: Value, right: Value): Condition {
  // x >= 0 stays: it holds, but only where x can be read.
  if (right.kind === 'constant' && right.value > 0) return greater(left, constant(right.value - 1))
  if (left.kind === 'constant') return not(greater(right, left))
  return decided('>=', left, right)
}

function decided(operator: Comparison['operator'], left: Value, right: Value): Condition {
  const test: Comparison = { operator, left, right, key: `${left.key} ${operator} ${right.key}` }
  const outcome = left.canFail || right.canFail ? null : outcomeByRange(test)
  return outcome === null ? { kind: 'test', test } : { kind: 'always', value: outcome }
}

/** What the test gives where its values can be computed at all, as far as their ranges tell; null: it depends. */
export function outcomeByRange(test: Test): boolean | null {
  if (test.operator === 'in') return null
  const { operator, left, right } = test
  const least = (value: Value) => (value.kind === 'constant' ? value.value : 0)
  switch (operator) {
    case '=':
      if (left.max === least(left) && right.max === least(right)) return left.max === right.max
      return left.max < least(right) || right.max < least(left) || misfits(left, right) ? false : null
    case '>':
      return least(left) > right.max ? true : left.max <= least(right) ? false : null
    case '>=':
      return least(left) >= right.max ? true : left.max < least(right) ? false : null
  }
}

/** The constant has a bit that the value never has. */
function misfits(value: Value, wanted: Value): boolean {
  return wanted.kind === 'constant' && (wanted.value & ~possibleBits(value)) !== 0
}

/** The values that must be computed to answer the test. */
export function valuesOf(test: Test): readonly Value[] {
  return test.operator === 'in' ? test.words : [test.left, test.right]
}

/** True where computing a value of the test can end the rule. */
export function canFail(test: Test): boolean {
  return valuesOf(test).some((value) => value.canFail)
}
