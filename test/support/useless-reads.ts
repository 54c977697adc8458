import type { Arithmetic, Expression } from '../../src/filter/index.js'
import { compute } from '../../src/ir/value.js'

/**
 * Whether the expression reads bytes of which no bit counts: under a mask or a
 * factor of 0. This compiler and libpcap's optimizer leave such reads out;
 * where libpcap does not optimize, it makes them, and a packet cut inside them
 * does not match.
 */
export function hasUselessReads(expression: Expression): boolean {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return hasUselessReads(expression.left) || hasUselessReads(expression.right)
    case 'not':
      return hasUselessReads(expression.operand)
    case 'address':
      return expression.mask.includes(0)
    case 'relation':
      return isUseless(expression.left) || isUseless(expression.right)
    default:
      return false
  }
}

function isUseless(node: Arithmetic): boolean {
  switch (node.kind) {
    case 'binary': {
      const isProduct = node.operator === '&' || node.operator === '*'
      if (isProduct && (numberOf(node.left) === 0 || numberOf(node.right) === 0)) return true
      return isUseless(node.left) || isUseless(node.right)
    }
    case 'negate':
      return isUseless(node.operand)
    case 'packet':
      return isUseless(node.offset)
    default:
      return false
  }
}

/** The number that a part without packet bytes always is. */
function numberOf(node: Arithmetic): number | null {
  switch (node.kind) {
    case 'constant':
      return node.value >>> 0
    case 'negate': {
      const operand = numberOf(node.operand)
      return operand === null ? null : -operand >>> 0
    }
    case 'binary': {
      const [left, right] = [numberOf(node.left), numberOf(node.right)]
      return left === null || right === null ? null : compute(node.operator, left, right)
    }
    default:
      return null
  }
}
