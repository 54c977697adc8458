import type { AccessBase, Arithmetic, ArithmeticOperator, RelationOperator, RelationPrimitive } from './ast.js'
import {
  accept,
  type Cursor,
  errorAt,
  expect,
  expectNumber,
  isAt,
  nested,
  peek,
  spanFrom,
  symbolAt,
  take,
  unexpected,
} from './cursor.js'
import { isProtocolName, type ProtocolName } from './names/keywords.js'

/*
 * relation   = arithmetic ('>' | '>=' | '=' | '!=' | '<=' | '<') arithmetic
 * arithmetic = operand { operator arithmetic }
 * operand    = number | 'len' | '-' operand | '(' arithmetic ')'
 *            | protocol '[' arithmetic [ ':' number ] ']'
 *
 * From loose to tight: | & (<< >>) (+ -) (* /) unary minus, all of them from
 * the left. libpcap's grammar gives ^ and % no precedence at all, and its
 * parser generator then always reads on: `8 % 5 + 1` is `8 % (5 + 1)` and
 * `2 * 3 ^ 4` is `2 * (3 ^ 4)`. So here: they take everything to their right.
 */
const PRECEDENCE: Readonly<Record<string, number>> = {
  '|': 1,
  '&': 2,
  '<<': 3,
  '>>': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
}
const UNARY = 6
const READS_ON = new Set(['^', '%'])

const RELATIONS: ReadonlySet<string> = new Set(['>', '>=', '=', '!=', '<=', '<'])

const ACCESS_BASES: ReadonlySet<string> = new Set<AccessBase>([
  ...(['link', 'ip', 'ip6', 'arp', 'rarp', 'tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'igmp', 'igrp'] as const),
  ...(['pim', 'vrrp', 'carp', 'radio', 'atalk', 'decnet', 'lat', 'moprc', 'mopdl', 'sca'] as const),
])

/** Whether the operator under the cursor continues an arithmetic expression. */
export function isArithmeticOperator(cursor: Cursor): boolean {
  const symbol = symbolAt(cursor)
  return symbol !== null && (symbol in PRECEDENCE || READS_ON.has(symbol))
}

/** Whether a comparison stands under the cursor. */
export function isRelationOperator(cursor: Cursor): boolean {
  const symbol = symbolAt(cursor)
  return symbol !== null && RELATIONS.has(symbol)
}

/** The arithmetic expression at the cursor. */
export function parseArithmetic(cursor: Cursor, loosest = 0): Arithmetic {
  return continueArithmetic(cursor, parseOperand(cursor), loosest)
}

/** The operators and operands that follow `left` and bind tighter than `loosest`. */
export function continueArithmetic(cursor: Cursor, left: Arithmetic, loosest = 0): Arithmetic {
  let result = left
  const nesting = cursor.nesting
  for (;;) {
    const symbol = symbolAt(cursor)
    if (symbol === null) break
    const precedence = READS_ON.has(symbol) ? Number.POSITIVE_INFINITY : (PRECEDENCE[symbol] ?? 0)
    if (precedence <= loosest) break
    cursor.at++
    const right = nested(cursor, () =>
      parseArithmetic(cursor, precedence === Number.POSITIVE_INFINITY ? 0 : precedence),
    )
    // A long sum is a deep tree, so its length counts as nesting too.
    cursor.nesting++
    const operator = symbol as ArithmeticOperator
    result = { kind: 'binary', operator, left: result, right, span: spanFrom(cursor, result.span) }
  }
  cursor.nesting = nesting
  return result
}

function parseOperand(cursor: Cursor): Arithmetic {
  const token = peek(cursor)
  if (token.kind === 'number') {
    cursor.at++
    return { kind: 'constant', value: token.value, span: token.span }
  }
  if (accept(cursor, 'len')) return { kind: 'length', span: token.span }
  if (accept(cursor, '-')) {
    const operand = nested(cursor, () => parseArithmetic(cursor, UNARY))
    return { kind: 'negate', operand, span: spanFrom(cursor, token.span) }
  }
  if (accept(cursor, '(')) {
    const inner = nested(cursor, () => parseArithmetic(cursor))
    expect(cursor, ')', 'an arithmetic operator or ")"')
    return inner
  }
  const name = symbolAt(cursor)
  if (name !== null && isProtocolName(name) && isAt(cursor, '[', 1)) return parsePacketValue(cursor, name)
  throw unexpected(cursor, 'a number, len, a byte of the packet such as ip[8], or "("')
}

/** `tcp[13]`, `ip[2:2]`: the cursor stands on the protocol name and a bracket follows. */
export function parsePacketValue(cursor: Cursor, name: ProtocolName): Arithmetic {
  const start = take(cursor).span
  if (!ACCESS_BASES.has(name)) {
    const written = cursor.source.slice(start.start, start.end)
    throw errorAt(
      cursor,
      `"${written}" has no bytes that [ ] can read; count from another header, as in link[0]`,
      start,
    )
  }
  expect(cursor, '[')
  const offset = nested(cursor, () => parseArithmetic(cursor))
  let size: 1 | 2 | 4 = 1
  if (accept(cursor, ':')) {
    const token = expectNumber(cursor, 'a size of 1, 2 or 4 bytes')
    if (token.value !== 1 && token.value !== 2 && token.value !== 4) {
      throw errorAt(cursor, `${token.text} bytes cannot be read at once; write 1, 2 or 4`, token.span)
    }
    size = token.value
  }
  expect(cursor, ']', '"]", ":" and a size, or an arithmetic operator')
  return { kind: 'packet', base: name as AccessBase, offset, size, span: spanFrom(cursor, start) }
}

/** The comparison whose left side has been read; throws when no comparison follows. */
export function parseRelation(cursor: Cursor, left: Arithmetic): RelationPrimitive {
  if (!isRelationOperator(cursor)) {
    throw unexpected(cursor, 'a comparison (=, !=, <, <=, >, >=) or an arithmetic operator')
  }
  const operator = take(cursor).text as RelationOperator
  const right = parseArithmetic(cursor)
  return { kind: 'relation', operator, left, right, span: spanFrom(cursor, left.span) }
}
