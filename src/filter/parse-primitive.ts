import type { Arithmetic, RelationOperator, RelationPrimitive, Span, WlanPrimitive } from './ast.js'
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
import type { Token } from './lexer.js'
import { LLC_SUPERVISORY, LLC_UNNUMBERED } from './names/llc.js'
import { PF_ACTIONS, PF_REASONS } from './names/packet-filter.js'
import { ATM_CIRCUITS, TELEPHONY_FIELDS, TELEPHONY_SIGNALS } from './names/telephony.js'
import { WLAN_DIRECTIONS, WLAN_SUBTYPES, WLAN_TYPES } from './names/wlan.js'
import { isRelationOperator } from './parse-arithmetic.js'
import type { Syntax } from './syntax.js'

/*
 * keyword = ('less' | 'greater') number | 'byte' number ('<' | '>' | '=' | '&' | '|') number
 *         | 'inbound' | 'outbound' | 'ifindex' number | 'pppoed'
 *         | ('vlan' | 'mpls' | 'pppoes' | 'geneve' | 'vxlan') [ number ]
 *         | 'llc' [ name ]
 *         | ('ifname' | 'rset') name | ('rnr' | 'srnr') number | 'reason' (number | name) | 'action' name
 *         | circuit | signal | field ( number | comparison number | '(' number { 'or' number } ')' )
 * wlan    = 'type' (number | name) [ 'subtype' (number | name) ] | 'subtype' name | 'dir' (number | name)
 */

/** The primitive that begins with a reserved word other than a protocol or qualifier; null when none does. */
export function parseKeywordPrimitive(cursor: Cursor): Syntax | null {
  const token = peek(cursor)
  const word = symbolAt(cursor)
  switch (word) {
    case 'less':
    case 'greater':
      return parseLength(cursor)
    case 'byte':
      return parseByte(cursor)
    case 'inbound':
    case 'outbound':
      cursor.at++
      return { kind: 'direction', direction: word, span: token.span }
    case 'ifindex':
      cursor.at++
      return {
        kind: 'interface',
        index: expectNumber(cursor, 'an interface index').value,
        span: spanFrom(cursor, token.span),
      }
    case 'vlan':
    case 'mpls':
    case 'pppoes':
    case 'geneve':
    case 'vxlan': {
      cursor.at++
      const id = peek(cursor).kind === 'number' || isAt(cursor, '(') ? parseId(cursor) : null
      return { kind: 'encapsulation', type: word, id, span: spanFrom(cursor, token.span) }
    }
    case 'pppoed':
      cursor.at++
      return { kind: 'encapsulation', type: word, id: null, span: token.span }
    case 'llc':
      return parseLlc(cursor)
    case 'ifname':
    case 'rset':
    case 'rnr':
    case 'srnr':
    case 'reason':
    case 'action':
      return parsePacketFilter(cursor, word)
    default:
      return word === null ? null : parseTelephony(cursor, word)
  }
}

/** `less` and `greater` include the length they name. */
function parseLength(cursor: Cursor): RelationPrimitive {
  const word = take(cursor)
  const number = expectNumber(cursor, 'a length in bytes')
  const left: Arithmetic = { kind: 'length', span: word.span }
  const right: Arithmetic = { kind: 'constant', value: number.value, span: number.span }
  return {
    kind: 'relation',
    operator: word.text === 'less' ? '<=' : '>=',
    left,
    right,
    span: spanFrom(cursor, word.span),
  }
}

/** `byte 8 < 5` is `link[8] < 5`; with & and | it asks whether the result is not zero. */
function parseByte(cursor: Cursor): RelationPrimitive {
  const start = take(cursor).span
  const offset = expectNumber(cursor, 'the offset of a byte')
  const operator = symbolAt(cursor)
  if (operator === null || !['<', '>', '=', '&', '|'].includes(operator)) throw unexpected(cursor, '<, >, =, & or |')
  cursor.at++
  const number = expectNumber(cursor, 'a number from 0 to 255')
  if (number.value > 255) throw errorAt(cursor, `a byte is never ${number.value}; write at most 255`, number.span)
  const span = spanFrom(cursor, start)
  const at: Arithmetic = { kind: 'constant', value: offset.value, span: offset.span }
  const byte: Arithmetic = { kind: 'packet', base: 'link', offset: at, size: 1, span: spanFrom(cursor, start) }
  const value: Arithmetic = { kind: 'constant', value: number.value, span: number.span }
  if (operator !== '&' && operator !== '|') {
    return { kind: 'relation', operator: operator as RelationOperator, left: byte, right: value, span }
  }
  const left: Arithmetic = { kind: 'binary', operator, left: byte, right: value, span }
  return { kind: 'relation', operator: '!=', left, right: { kind: 'constant', value: 0, span: number.span }, span }
}

/** A number that may stand in parentheses. */
function parseId(cursor: Cursor): number {
  if (!accept(cursor, '(')) return expectNumber(cursor, 'a number').value
  const id = nested(cursor, () => parseId(cursor))
  expect(cursor, ')')
  return id
}

function parseLlc(cursor: Cursor): Syntax {
  const start = take(cursor).span
  // `rnr` is a word of the packet filter too, and so no name here.
  const subtype = accept(cursor, 'rnr') ? 'rnr' : peek(cursor).kind === 'name' ? take(cursor).text.toLowerCase() : null
  const span = spanFrom(cursor, start)
  if (subtype === null) return { kind: 'llc', frame: null, value: 0, span }
  if (subtype === 'i' || subtype === 's' || subtype === 'u') return { kind: 'llc', frame: subtype, value: 0, span }
  const supervisory = LLC_SUPERVISORY.get(subtype)
  if (supervisory !== undefined) return { kind: 'llc', frame: 's-subtype', value: supervisory, span }
  const unnumbered = LLC_UNNUMBERED.get(subtype)
  if (unnumbered !== undefined) return { kind: 'llc', frame: 'u-subtype', value: unnumbered, span }
  const known = ['i', 's', 'u', ...LLC_SUPERVISORY.keys(), ...LLC_UNNUMBERED.keys()].join(', ')
  const name = { start: span.end - subtype.length, end: span.end }
  throw errorAt(cursor, `no LLC frame is called "${subtype}"; write a name of the list below`, name, known)
}

function parsePacketFilter(cursor: Cursor, field: 'ifname' | 'rset' | 'rnr' | 'srnr' | 'reason' | 'action'): Syntax {
  const start = take(cursor).span
  const token = peek(cursor)
  if (field === 'rnr' || field === 'srnr') {
    const value = expectNumber(cursor, 'a rule number').value
    return { kind: 'pf', field, value, span: spanFrom(cursor, start) }
  }
  if (field === 'ifname' || field === 'rset') {
    if (token.kind !== 'name') throw unexpected(cursor, 'a name')
    cursor.at++
    if (token.text.length > 15)
      throw errorAt(cursor, `"${token.text}" is longer than the 15 characters a log entry holds`, token.span)
    return { kind: 'pf', field, value: token.text, span: spanFrom(cursor, start) }
  }
  const names = field === 'reason' ? PF_REASONS : PF_ACTIONS
  const value =
    field === 'reason' && token.kind === 'number' ? token.value : lookUp(cursor, names, `${field} of a packet filter`)
  if (field === 'reason' && token.kind === 'number') cursor.at++
  return { kind: 'pf', field, value, span: spanFrom(cursor, start) }
}

/** The value of the name under the cursor, in any case of letters. */
function lookUp(cursor: Cursor, names: ReadonlyMap<string, number>, what: string): number {
  const token = peek(cursor)
  if (token.kind !== 'name') throw unexpected(cursor, [...names.keys()].join(', '))
  const value = names.get(token.text.toLowerCase())
  if (value === undefined) throw unknownName(cursor, token, what, names)
  cursor.at++
  return value
}

function unknownName(cursor: Cursor, token: Token, what: string, names: ReadonlyMap<string, number>) {
  const message = `no ${what} is called "${token.text}"; write a name of the list below`
  return errorAt(cursor, message, token.span, [...names.keys()].join(', '))
}

/** The 802.11 primitive at the cursor; a protocol may have stood at `start`, it adds nothing. */
export function parseWlan(cursor: Cursor, start: Span): WlanPrimitive {
  const word = take(cursor).text
  if (word === 'dir') {
    const value = maskedOr(cursor, 0x03, () => lookUp(cursor, WLAN_DIRECTIONS, '802.11 direction'))
    return { kind: 'wlan', byte: 1, mask: 0x03, value, span: spanFrom(cursor, start) }
  }
  if (word === 'type') {
    const type = maskedOr(cursor, 0x0c, () => lookUp(cursor, WLAN_TYPES, '802.11 frame type'))
    if (!accept(cursor, 'subtype'))
      return { kind: 'wlan', byte: 0, mask: 0x0c, value: type, span: spanFrom(cursor, start) }
    const names = WLAN_SUBTYPES.get(type) ?? new Map<string, number>()
    const subtype = maskedOr(cursor, 0xf0, () => lookUp(cursor, names, '802.11 subtype of this frame type'))
    return { kind: 'wlan', byte: 0, mask: 0xfc, value: type | subtype, span: spanFrom(cursor, start) }
  }
  const token = peek(cursor)
  if (token.kind !== 'name') throw unexpected(cursor, 'the name of a subtype; a number needs "type" before it')
  for (const [type, names] of WLAN_SUBTYPES) {
    const subtype = names.get(token.text.toLowerCase())
    if (subtype === undefined) continue
    cursor.at++
    return { kind: 'wlan', byte: 0, mask: 0xfc, value: type | subtype, span: spanFrom(cursor, start) }
  }
  throw unknownName(
    cursor,
    token,
    '802.11 subtype',
    new Map([...WLAN_SUBTYPES.values()].flatMap((names) => [...names])),
  )
}

/** A number that has no bits outside the mask, or else what the name under the cursor means. */
function maskedOr(cursor: Cursor, mask: number, byName: () => number): number {
  const token = peek(cursor)
  if (token.kind !== 'number') return byName()
  if ((token.value & ~mask) !== 0) {
    const shown = `0x${mask.toString(16)}`
    throw errorAt(cursor, `${token.text} has bits outside the field; write a value within ${shown}`, token.span)
  }
  cursor.at++
  return token.value
}

function parseTelephony(cursor: Cursor, word: string): Syntax | null {
  const { span } = peek(cursor)
  const circuits = ATM_CIRCUITS.get(word)
  if (circuits) {
    cursor.at++
    const channels = circuits.map((value): Syntax => ({ kind: 'telephony', field: 'vci', operator: '=', value, span }))
    const channel: Syntax =
      channels.length === 1 ? channels[0]! : { kind: 'chain', operator: 'or', operands: channels, span }
    const path: Syntax = { kind: 'telephony', field: 'vpi', operator: '=', value: 0, span }
    return { kind: 'chain', operator: 'and', operands: [path, channel], span }
  }
  if (TELEPHONY_SIGNALS.has(word)) {
    cursor.at++
    return { kind: 'telephony', field: word, operator: '=', value: 1, span }
  }
  if (!TELEPHONY_FIELDS.has(word)) return null
  cursor.at++
  return parseField(cursor, word, span)
}

function parseField(cursor: Cursor, field: string, start: Span): Syntax {
  if (isRelationOperator(cursor)) {
    const operator = take(cursor).text as RelationOperator
    const { value } = expectNumber(cursor, 'a number')
    return { kind: 'telephony', field, operator, value, span: spanFrom(cursor, start) }
  }
  if (!accept(cursor, '(')) {
    const { value } = expectNumber(cursor, 'a number, a comparison or "("')
    return { kind: 'telephony', field, operator: '=', value, span: spanFrom(cursor, start) }
  }
  const operands: Syntax[] = []
  do {
    const { value, span } = expectNumber(cursor, 'a number')
    operands.push({ kind: 'telephony', field, operator: '=', value, span })
  } while (accept(cursor, 'or'))
  expect(cursor, ')', '"or" or ")"')
  const span = spanFrom(cursor, start)
  return operands.length === 1 ? operands[0]! : { kind: 'chain', operator: 'or', operands, span }
}
