import type { Arithmetic, Expression } from './ast.js'
import { printPrimitive } from './print-primitive.js'

/**
 * An expression as canonical text that parses to the same expression (the
 * spans aside) on the same link type; the empty string for null, everything.
 */
export function printExpression(expression: Expression | null): string {
  if (expression === null) return ''
  switch (expression.kind) {
    case 'and':
    case 'or':
      return printChain(expression)
    case 'not':
      return `not ${printOperand(expression.operand)}`
    case 'relation': {
      const { left, operator, right } = expression
      return `${printArithmetic(left)} ${operator} ${printArithmetic(right)}`
    }
    default:
      return printPrimitive(expression)
  }
}

/** A chain leans to the left, as long as it is: walked, because recursion could exhaust the stack. */
function printChain(expression: Expression & { kind: 'and' | 'or' }): string {
  const { kind } = expression
  const right: string[] = []
  let rest: Expression = expression
  while (rest.kind === kind) {
    right.push(printOperand(rest.right))
    rest = rest.left
  }
  return [printOperand(rest), ...right.reverse()].join(` ${kind} `)
}

/** In parentheses also where equal precedence would not need them, since few readers know it. */
function printOperand(expression: Expression): string {
  const text = printExpression(expression)
  return expression.kind === 'and' || expression.kind === 'or' ? `(${text})` : text
}

function printArithmetic(node: Arithmetic): string {
  switch (node.kind) {
    case 'constant':
      return String(node.value)
    case 'length':
      return 'len'
    case 'negate':
      return `-${printTerm(node.operand)}`
    case 'binary':
      return `${printTerm(node.left)} ${node.operator} ${printTerm(node.right)}`
    case 'packet': {
      const base = node.base === 'link' ? 'ether' : node.base
      return `${base}[${printArithmetic(node.offset)}${node.size === 1 ? '' : `:${node.size}`}]`
    }
  }
}

function printTerm(node: Arithmetic): string {
  return node.kind === 'binary' || node.kind === 'negate' ? `(${printArithmetic(node)})` : printArithmetic(node)
}
