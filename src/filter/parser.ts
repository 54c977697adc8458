import type { Arithmetic, Direction, Span } from './ast.js'
import {
  accept,
  type Cursor,
  deepen,
  errorAt,
  expect,
  expectNumber,
  isAt,
  nested,
  openCursor,
  peek,
  spanFrom,
  symbolAt,
  take,
  unexpected,
} from './cursor.js'
import { isProtocolName, type ProtocolName } from './names/keywords.js'
import {
  continueArithmetic,
  isArithmeticOperator,
  isRelationOperator,
  parseArithmetic,
  parsePacketValue,
  parseRelation,
} from './parse-arithmetic.js'
import { parseKeywordPrimitive, parseWlan } from './parse-primitive.js'
import type { Qualifiers, Syntax, Value, ValueType } from './syntax.js'

/*
 * expression = operand { ('and' | 'or') ( operand | value ) }
 * operand    = 'not' operand | '(' expression ')' | relation | primitive
 * primitive  = protocol | qualifiers values | [ protocol ] ('broadcast' | 'multicast') | keyword …
 * qualifiers = [ protocol ] ( direction [ type ] | type | 'proto' | 'protochain' | 'gateway' )
 * values     = value | 'not' values | '(' values { ('and' | 'or') values } ')'
 * value      = name | number | address [ '/' number | 'mask' address ] | '@' name
 *
 * `and` and `or` have the same precedence and group from the left; `not` binds
 * tighter. A value without qualifiers takes those of the primitive before it;
 * in a group, those of the primitive before the group.
 */

/** What the last primitive leaves for a value that brings no qualifiers; null: nothing. */
type Inherited = Qualifiers | null

/**
 * A part of an expression that is not yet known to be a test: `443` and
 * `(10.0.0.1 or 10.0.0.2)` are values, `(443)` may also begin arithmetic.
 */
type Part =
  | { kind: 'test'; node: Syntax; inherited: Inherited }
  | { kind: 'values'; node: Syntax }
  | { kind: 'number'; value: number; text: string; span: Span }
  | { kind: 'arithmetic'; value: Arithmetic }

const PRIMITIVE = 'a primitive such as tcp, host 192.0.2.1, port 53 or ip[8] < 64'
const CONNECTIVE = '"and" or "or" before it'

const DIRECTIONS: ReadonlySet<string> = new Set(['src', 'dst', 'addr1', 'addr2', 'addr3', 'addr4', 'ra', 'ta'])
const DIRECTED_TYPES: ReadonlySet<string> = new Set(['host', 'net', 'port', 'portrange'])
const UNDIRECTED_TYPES: ReadonlySet<string> = new Set(['proto', 'protochain', 'gateway'])

/**
 * Parses pcap-filter(7) text; null for an empty expression, which matches
 * everything. Throws a FilterError where the text leaves the grammar.
 */
export function parse(source: string): Syntax | null {
  const cursor = openCursor(source)
  if (peek(cursor).kind === 'end') return null
  const { node } = parseExpression(cursor, null)
  if (peek(cursor).kind !== 'end') throw unexpected(cursor, CONNECTIVE)
  return node
}

function parseExpression(cursor: Cursor, inherited: Inherited): Part & { kind: 'test' } {
  const first = parsePart(cursor, inherited)
  return continueExpression(cursor, asTest(cursor, first))
}

function continueExpression(cursor: Cursor, first: Part & { kind: 'test' }): Part & { kind: 'test' } {
  let { inherited } = first
  const node = parseChain(cursor, first.node, () => {
    const right = parsePart(cursor, inherited)
    if (right.kind !== 'test') return asValues(cursor, right, inherited)
    inherited = right.inherited
    return right.node
  })
  return { kind: 'test', node, inherited }
}

/** `and` and `or` from the left; neighbours that share an operator become one chain. */
function parseChain(cursor: Cursor, first: Syntax, parseNext: () => Syntax): Syntax {
  let node = first
  let operator: 'and' | 'or' | null = null
  let operands: Syntax[] = []
  const nesting = cursor.nesting
  for (let next = takeConnective(cursor); next !== null; next = takeConnective(cursor)) {
    if (next !== operator) {
      deepen(cursor)
      operator = next
      operands = [node]
    }
    operands.push(parseNext())
    node = { kind: 'chain', operator, operands, span: spanFrom(cursor, first.span) }
  }
  cursor.nesting = nesting
  return node
}

function takeConnective(cursor: Cursor): 'and' | 'or' | null {
  if (accept(cursor, 'and')) return 'and'
  return accept(cursor, 'or') ? 'or' : null
}

function parsePart(cursor: Cursor, inherited: Inherited): Part {
  const token = peek(cursor)
  if (accept(cursor, 'not')) return nested(cursor, () => parseNot(cursor, inherited, token.span))
  if (accept(cursor, '(')) return nested(cursor, () => parseGroup(cursor, inherited, token.span))
  if (token.kind === 'number') {
    cursor.at++
    return afterNumber(cursor, token.value, token.text, token.span)
  }
  if (isAt(cursor, 'len') || isAt(cursor, '-')) return afterArithmetic(cursor, parseArithmetic(cursor))
  if (token.kind === 'symbol') return parsePrimitive(cursor)
  if (token.kind === 'end') throw unexpected(cursor, PRIMITIVE)
  return { kind: 'values', node: parseValue(cursor, inherited) }
}

function parseNot(cursor: Cursor, inherited: Inherited, start: Span): Part {
  const operand = parsePart(cursor, inherited)
  if (operand.kind === 'test') {
    const node: Syntax = { kind: 'not', operand: operand.node, span: spanFrom(cursor, start) }
    return { kind: 'test', node, inherited: operand.inherited }
  }
  const node = asValues(cursor, operand, inherited)
  return { kind: 'values', node: { kind: 'not', operand: node, span: spanFrom(cursor, start) } }
}

/** After `(`: the first part decides whether tests, values or arithmetic stand in the parentheses. */
function parseGroup(cursor: Cursor, inherited: Inherited, start: Span): Part {
  const first = parsePart(cursor, inherited)
  if (first.kind === 'number' && accept(cursor, ')')) {
    return afterNumber(cursor, first.value, first.text, spanFrom(cursor, start))
  }
  if (first.kind === 'arithmetic') {
    if (!accept(cursor, ')')) throw unexpected(cursor, 'a comparison, an arithmetic operator or ")"')
    return afterArithmetic(cursor, first.value)
  }
  if (first.kind === 'test') {
    const { node } = continueExpression(cursor, first)
    expect(cursor, ')', '"and", "or" or ")"')
    return { kind: 'test', node, inherited }
  }
  const node = continueValues(cursor, asValues(cursor, first, inherited), requireInherited(cursor, inherited, start))
  return { kind: 'values', node }
}

/** `443` is a value, unless an operator makes it the start of arithmetic. */
function afterNumber(cursor: Cursor, value: number, text: string, span: Span): Part {
  if (!isArithmeticOperator(cursor) && !isRelationOperator(cursor)) return { kind: 'number', value, text, span }
  return afterArithmetic(cursor, { kind: 'constant', value, span })
}

function afterArithmetic(cursor: Cursor, left: Arithmetic): Part {
  const value = continueArithmetic(cursor, left)
  if (!isRelationOperator(cursor)) return { kind: 'arithmetic', value }
  return { kind: 'test', node: parseRelation(cursor, value), inherited: null }
}

function asTest(cursor: Cursor, part: Part): Part & { kind: 'test' } {
  if (part.kind === 'test') return part
  if (part.kind === 'arithmetic')
    throw unexpected(cursor, 'a comparison (=, !=, <, <=, >, >=) or an arithmetic operator')
  const span = part.kind === 'number' ? part.span : part.node.span
  throw withoutQualifiers(cursor, span)
}

function asValues(cursor: Cursor, part: Part, inherited: Inherited): Syntax {
  if (part.kind === 'values') return part.node
  if (part.kind !== 'number') throw unexpected(cursor, 'a comparison (=, !=, <, <=, >, >=) or an arithmetic operator')
  const qualifiers = requireInherited(cursor, inherited, part.span)
  return { kind: 'value', qualifiers, value: part, span: part.span }
}

function requireInherited(cursor: Cursor, inherited: Inherited, span: Span): Qualifiers {
  if (inherited === null) throw withoutQualifiers(cursor, span)
  return inherited
}

function withoutQualifiers(cursor: Cursor, span: Span) {
  const text = cursor.source.slice(span.start, span.end)
  const word = text.length > 40 ? 'the value' : `"${text}"`
  const example = /^\d+$/.test(text)
    ? `port ${text}`
    : /^@\S{1,40}$/.test(text)
      ? `net ${text}`
      : /^[\w.:-]{1,40}$/.test(text)
        ? `host ${text}`
        : 'host, net or port'
  return errorAt(cursor, `${word} has no qualifier before it that says what it is; write ${example}`, span, PRIMITIVE)
}

/** values = value | 'not' values | '(' values { ('and' | 'or') values } ')' */
function parseValues(cursor: Cursor, qualifiers: Qualifiers): Syntax {
  const start = peek(cursor).span
  if (accept(cursor, 'not')) {
    const operand = nested(cursor, () => parseValues(cursor, qualifiers))
    return { kind: 'not', operand, span: spanFrom(cursor, start) }
  }
  if (accept(cursor, '(')) {
    return nested(cursor, () => continueValues(cursor, parseValues(cursor, qualifiers), qualifiers))
  }
  return parseValue(cursor, qualifiers)
}

/** The rest of a group of values, and the parenthesis that closes it. */
function continueValues(cursor: Cursor, first: Syntax, qualifiers: Qualifiers): Syntax {
  const node = parseChain(cursor, first, () => parseValues(cursor, qualifiers))
  expect(cursor, ')', '"and", "or" or ")"')
  return node
}

function parseValue(cursor: Cursor, inherited: Inherited): Syntax {
  const start = peek(cursor).span
  const value = readValue(cursor, inherited)
  const span = spanFrom(cursor, start)
  return { kind: 'value', qualifiers: requireInherited(cursor, inherited, span), value, span }
}

function readValue(cursor: Cursor, inherited: Inherited): Value {
  const token = peek(cursor)
  if (token.kind === 'symbol' || token.kind === 'end') throw unexpected(cursor, expectedValue(inherited))
  cursor.at++
  if (token.kind === 'ipv4') {
    if (accept(cursor, '/')) {
      const length = expectNumber(cursor, 'a prefix length from 0 to 32').value
      return { kind: 'ipv4-prefix', text: token.text, length, span: spanFrom(cursor, token.span) }
    }
    if (accept(cursor, 'mask')) {
      const mask = peek(cursor)
      if (mask.kind !== 'ipv4') throw unexpected(cursor, 'a netmask such as 255.255.255.0')
      cursor.at++
      return { kind: 'ipv4-masked', text: token.text, mask: mask.text, span: spanFrom(cursor, token.span) }
    }
    return { kind: 'ipv4', text: token.text, span: token.span }
  }
  if (token.kind === 'ipv6') {
    const length = accept(cursor, '/') ? expectNumber(cursor, 'a prefix length from 0 to 128').value : 128
    return { kind: 'ipv6', text: token.text, words: token.words, length, span: spanFrom(cursor, token.span) }
  }
  if (token.kind === 'name') return { kind: 'name', text: token.text, span: token.span }
  return token
}

function expectedValue(inherited: Inherited): string {
  switch (inherited?.type) {
    case 'port':
      return 'a port number or the name of a service'
    case 'portrange':
      return 'two ports joined by a hyphen, such as 6000-6008'
    case 'net':
      return 'an address with a prefix length, such as 192.0.2.0/24'
    case 'proto':
    case 'protochain':
      return 'a protocol number or an escaped name, such as \\tcp'
    default:
      return 'an address or a name'
  }
}

function parsePrimitive(cursor: Cursor): Part {
  const start = peek(cursor).span
  const word = symbolAt(cursor)!
  let protocol: ProtocolName | null = null
  if (isProtocolName(word)) {
    if (isAt(cursor, '[', 1)) return afterArithmetic(cursor, parsePacketValue(cursor, word))
    cursor.at++
    protocol = word
  }
  const next = symbolAt(cursor)
  if (next === 'broadcast' || next === 'multicast') {
    cursor.at++
    return test({ kind: 'cast-of', cast: next, protocol, span: spanFrom(cursor, start) })
  }
  if (next === 'type' || next === 'subtype' || next === 'dir') return test(parseWlan(cursor, start))
  const qualifiers = parseQualifiers(cursor, protocol, start)
  if (qualifiers) return { kind: 'test', node: parseValues(cursor, qualifiers), inherited: qualifiers }
  if (protocol !== null) return test({ kind: 'protocol', name: protocol, span: start })
  const primitive = parseKeywordPrimitive(cursor)
  if (primitive) return test(primitive)
  throw unexpected(cursor, PRIMITIVE)
}

function test(node: Syntax): Part {
  return { kind: 'test', node, inherited: null }
}

/** The direction and type after an optional protocol; null when neither stands there. */
function parseQualifiers(cursor: Cursor, protocol: ProtocolName | null, start: Span): Qualifiers | null {
  const direction = parseDirection(cursor)
  const word = symbolAt(cursor)
  const types = direction === null ? [DIRECTED_TYPES, UNDIRECTED_TYPES] : [DIRECTED_TYPES]
  const type = word !== null && types.some((set) => set.has(word)) ? (take(cursor).text as ValueType) : null
  if (direction === null && type === null) return null
  return { protocol, direction, type, span: spanFrom(cursor, start) }
}

function parseDirection(cursor: Cursor): Direction | null {
  const word = symbolAt(cursor)
  if (word === null || !DIRECTIONS.has(word)) return null
  cursor.at++
  const joined = symbolAt(cursor)
  if ((word !== 'src' && word !== 'dst') || (joined !== 'and' && joined !== 'or')) return word as Direction
  cursor.at++
  expect(cursor, word === 'src' ? 'dst' : 'src')
  return joined === 'and' ? 'src-and-dst' : 'src-or-dst'
}
