import type { Condition } from './condition.js'
import { binary } from './fold.js'
import { constant, type Value } from './value.js'

/**
 * Answers as numbers: 1 for yes, 0 for no. Where a header starts can depend on
 * an answer (is this frame padded? is this tunnel over IPv6?), and a value that
 * selects needs no branch:
 *
 *     x = c       is  ((d | -d) >> 31) ^ 1     with d = x ^ c
 *     y if a      is  y & -a
 */
export function isEqual(value: Value, wanted: number): Value {
  const difference = binary('^', value, constant(wanted))
  // Below 2^31 only the difference 0 has its top bit set once 1 is taken off.
  if (difference.max < 2 ** 31) return binary('>>', binary('-', difference, constant(1)), constant(31))
  const signs = binary('|', difference, binary('-', constant(0), difference))
  return binary('^', binary('>>', signs, constant(31)), constant(1))
}

/** All bits where `answer` is 1, none where it is 0. */
export function maskOf(answer: Value): Value {
  return binary('-', constant(0), answer)
}

/** `number` where `answer` is 1, otherwise 0. */
export function multiplied(answer: Value, number: number): Value {
  return binary('*', answer, constant(number))
}

/** `one + other`, of which null is 0. */
export function sum(one: Value | null, other: Value): Value {
  return one === null ? other : binary('+', one, other)
}

/**
 * The answer of a condition that is made of equalities with constants, all
 * whose values can be computed whatever the answers are.
 */
export function answerOf(condition: Condition): Value {
  switch (condition.kind) {
    case 'always':
      return constant(condition.value ? 1 : 0)
    case 'not':
      return binary('^', answerOf(condition.operand), constant(1))
    case 'all':
      return condition.operands.map(answerOf).reduce((one, other) => binary('&', one, other), constant(1))
    case 'any':
      return condition.operands.map(answerOf).reduce((one, other) => binary('|', one, other), constant(0))
    case 'test': {
      const { test } = condition
      if (test.operator !== '=' || test.right.kind !== 'constant')
        throw new Error(`${test.key} is no equality with a constant`)
      return isEqual(test.left, test.right.value)
    }
  }
}
