import type { Direction, Expression, Primitive, RelationOperator } from './ast.js'
import { printExpression } from './print.js'

/**
 * An expression in words, a line for each thing it asks; operands of `and`,
 * `or` and `not` stand indented behind the line that joins them. The empty
 * expression matches everything.
 */
export function describeExpression(expression: Expression | null): string[] {
  return expression === null ? ['every packet'] : describe(expression)
}

const INDENT = '  '

function describe(expression: Expression): string[] {
  switch (expression.kind) {
    case 'and':
    case 'or': {
      const operands = flatten(expression, expression.kind)
      const heading = expression.kind === 'and' ? 'all of:' : 'any of:'
      return [heading, ...operands.flatMap(describe).map((line) => INDENT + line)]
    }
    case 'not':
      return ['not:', ...describe(expression.operand).map((line) => INDENT + line)]
    default:
      return [describePrimitive(expression)]
  }
}

/** Operands of a chain of one operator, which stands in the tree two by two. */
function flatten(expression: Expression, kind: 'and' | 'or'): Expression[] {
  if (expression.kind !== kind) return [expression]
  return [...flatten(expression.left, kind), ...flatten(expression.right, kind)]
}

const DIRECTIONS: Readonly<Record<Direction, string>> = {
  src: 'source',
  dst: 'destination',
  'src-or-dst': 'source or destination',
  'src-and-dst': 'source and destination',
  addr1: 'first 802.11',
  addr2: 'second 802.11',
  addr3: 'third 802.11',
  addr4: 'fourth 802.11',
  ra: 'receiver',
  ta: 'transmitter',
}

const RELATIONS: Readonly<Record<RelationOperator, string>> = {
  '=': 'is',
  '!=': 'is not',
  '<': 'is below',
  '<=': 'is at most',
  '>': 'is above',
  '>=': 'is at least',
}

function describePrimitive(primitive: Primitive): string {
  const text = printExpression(primitive)
  switch (primitive.kind) {
    case 'address': {
      const carriers = primitive.family === 6 ? 'IPv6' : 'IPv4, ARP or RARP'
      const carrier = primitive.protocol === null ? ` (${carriers})` : ` (${primitive.protocol})`
      return `${DIRECTIONS[primitive.direction]} address ${lastWord(text)}${carrier}`
    }
    case 'address-set':
      return `${DIRECTIONS[primitive.direction]} address in the set @${primitive.set}`
    case 'link-address':
      return `${DIRECTIONS[primitive.direction]} link address ${lastWord(text)}`
    case 'port': {
      const { transport, low, high } = primitive
      const ports = low === high ? `port ${low}` : `port from ${low} to ${high}`
      const over = transport === null ? 'TCP, UDP or SCTP' : transport.toUpperCase()
      return `${over} with ${DIRECTIONS[primitive.direction]} ${ports} (of IPv4 only first fragments have ports)`
    }
    case 'ip-protocol':
      return `${text}: protocol ${primitive.protocol} over ${primitive.family === null ? 'IPv4 or IPv6' : `IPv${primitive.family}`}`
    case 'link-protocol':
      return `${text}: the link header announces 0x${primitive.type.toString(16).padStart(4, '0')}`
    case 'relation':
      return text.replace(` ${primitive.operator} `, ` ${RELATIONS[primitive.operator]} `)
    case 'encapsulation':
      return `${text}: and what stands after it in the expression looks behind that header`
    default:
      return text
  }
}

function lastWord(text: string): string {
  return text.slice(text.lastIndexOf(' ') + 1)
}
