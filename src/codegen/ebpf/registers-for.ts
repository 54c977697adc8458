import { oncePerObject } from '../../ir/index.js'
import type { Expression } from '../expression.js'

/**
 * Registers that computing the expression takes at once (Sethi and Ullman,
 * "The generation of optimal code for arithmetic expressions", 1970), with one
 * more where a step needs a second one for itself.
 */
export const registersFor = oncePerObject((expression: Expression): number => {
  switch (expression.kind) {
    case 'number':
    case 'length':
      return 1
    case 'pointer':
      return registersFor(expression.base) + 1
    case 'read':
      return expression.pointer === null ? 1 : registersFor(expression.pointer) + 1
    case 'swap':
      return registersFor(expression.read) + 1
    case 'calculation': {
      const left = registersFor(expression.left)
      const right = registersFor(expression.right)
      return (left === right ? left + 1 : Math.max(left, right)) + 1
    }
  }
})
