import { oncePerObject } from '../../ir/index.js'
import type { Expression } from '../expression.js'

/** The greatest number that the kernel's verifier can prove for it, as far as this compiler relies on that. */
export const provableMaximum = oncePerObject((expression: Expression): number => {
  switch (expression.kind) {
    case 'number':
      return expression.value
    case 'read':
      return 2 ** (8 * expression.size) - 1
    case 'calculation': {
      const { operator, left, right } = expression
      const bound = provableMaximum(left)
      if (operator === '+') return bound + provableMaximum(right)
      if (right.kind !== 'number') return Number.POSITIVE_INFINITY
      if (operator === '&') return Math.min(bound, right.value)
      if (operator === '>>') return bound / 2 ** right.value
      if (operator === '<<') return bound * 2 ** right.value
      return Number.POSITIVE_INFINITY
    }
    default:
      return Number.POSITIVE_INFINITY
  }
})
