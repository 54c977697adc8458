import { parseIpv6, parseMac } from './address.js'
import type { Span } from './ast.js'
import { FilterError } from './error.js'
import { CONSTANTS } from './names/constants.js'
import { KEYWORDS } from './names/keywords.js'

/**
 * A token of pcap-filter(7). `text` is what stands in the source, except that
 * a `name` has lost its backslash and a `symbol` (operator or reserved word)
 * is in its canonical spelling: `&&` is `and`, `==` is `=`, `ether` is `link`.
 * A `set`, which tcpdump does not have, has lost its `@`.
 */
export type Token = Readonly<
  | { kind: 'symbol'; text: string; span: Span }
  | { kind: 'name'; text: string; span: Span }
  | { kind: 'set'; text: string; span: Span }
  | { kind: 'ipv4'; text: string; span: Span }
  | { kind: 'end'; text: string; span: Span }
  | { kind: 'number'; text: string; value: number; span: Span }
  | { kind: 'ipv6'; text: string; words: readonly number[]; span: Span }
  | { kind: 'mac' | 'station'; text: string; bytes: readonly number[]; span: Span }
>

/** Longer expressions are refused: nobody writes them, and a policy with a set says the same. */
export const MAX_SOURCE_LENGTH = 1 << 20

const OPERATORS: Readonly<Record<string, string>> = { '&&': 'and', '||': 'or', '!': 'not', '==': '=' }

const SPACE = /[ \t\r\n]+/y
const OPERATOR = /&&|\|\||>=|<=|!=|==|<<|>>|[-+*/%:[\]!<>()&|^=]/y
const ESCAPED = /\\[^ !()\n\t]+/y
const SET = /@[A-Za-z0-9][-_.A-Za-z0-9]*/y
const STATION = /\$[0-9A-Fa-f]{1,2}/y
const NAME = /[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?/y
const NUMBER = /0[xX][0-9A-Fa-f]+|[0-9]+/y
const IPV4 = /(?:0[xX][0-9A-Fa-f]+|[0-9]+)(?:\.(?:0[xX][0-9A-Fa-f]+|[0-9]+)){1,3}/y
const ADDRESS_RUN = /[0-9A-Fa-f:.]+/y
const BROKEN_MAC = /[0-9A-Fa-f]{1,2}:+(?:[0-9A-Fa-f]{1,2}:+)+/y
const MACS = [
  /[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){5}/y,
  /[0-9A-Fa-f]{1,2}(?:-[0-9A-Fa-f]{1,2}){5}/y,
  /[0-9A-Fa-f]{1,2}(?:\.[0-9A-Fa-f]{1,2}){5}/y,
  /[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}/y,
  /[0-9A-Fa-f]{12}/y,
]

/**
 * Splits an expression into tokens; the last one is of kind `end`. At each
 * place the longest token wins; of tokens of one length the order is MAC
 * address, number, IPv4, IPv6, reserved word, name, as in libpcap's scanner.
 * Throws a FilterError at a character or a number that no token can hold.
 */
export function tokenize(source: string): Token[] {
  if (source.length > MAX_SOURCE_LENGTH) {
    const span = { start: MAX_SOURCE_LENGTH, end: MAX_SOURCE_LENGTH + 1 }
    throw new FilterError(`the expression is longer than ${MAX_SOURCE_LENGTH} characters; split it`, source, span)
  }
  const tokens: Token[] = []
  let at = 0
  for (;;) {
    at += lengthOf(SPACE, source, at)
    if (at >= source.length) break
    const token = readToken(source, at)
    tokens.push(token)
    at = token.span.end
  }
  tokens.push({ kind: 'end', text: '', span: { start: source.length, end: source.length } })
  return tokens
}

function readToken(source: string, at: number): Token {
  const name = lengthOf(NAME, source, at)
  const address = readAddress(source, at, name)
  if (address) return address
  if (name > 0) return readWord(source, at, name)
  const station = lengthOf(STATION, source, at)
  if (station > 0) {
    const text = source.slice(at, at + station)
    return { kind: 'station', text, bytes: [Number.parseInt(text.slice(1), 16)], span: spanOf(at, station) }
  }
  const set = lengthOf(SET, source, at)
  if (set > 0) return { kind: 'set', text: source.slice(at + 1, at + set), span: spanOf(at, set) }
  const escaped = lengthOf(ESCAPED, source, at)
  if (escaped > 0) return { kind: 'name', text: source.slice(at + 1, at + escaped), span: spanOf(at, escaped) }
  const operator = lengthOf(OPERATOR, source, at)
  if (operator > 0) {
    const text = source.slice(at, at + operator)
    return { kind: 'symbol', text: OPERATORS[text] ?? text, span: spanOf(at, operator) }
  }
  const character = String.fromCodePoint(source.codePointAt(at)!)
  const shown = JSON.stringify(character)
  throw new FilterError(`${shown} has no meaning in an expression; remove it`, source, spanOf(at, character.length))
}

/** MAC and IPv6 addresses, where they are longer than a word at the same place (a MAC address: as long). */
function readAddress(source: string, at: number, nameLength: number): Token | null {
  const mac = Math.max(...MACS.map((form) => lengthOf(form, source, at)))
  const ipv6 = ipv6Length(source, at)
  const broken = lengthOf(BROKEN_MAC, source, at)
  if (mac > 0 && mac >= Math.max(ipv6, broken, nameLength)) {
    const text = source.slice(at, at + mac)
    return { kind: 'mac', text, bytes: parseMac(text)!, span: spanOf(at, mac) }
  }
  if (ipv6 > nameLength && ipv6 >= broken) {
    const text = source.slice(at, at + ipv6)
    const words = parseIpv6(text)
    if (words) return { kind: 'ipv6', text, words, span: spanOf(at, ipv6) }
    throw new FilterError(
      `"${text}" is no IPv6 address; correct the part after the last colon`,
      source,
      spanOf(at, ipv6),
    )
  }
  if (broken > nameLength) {
    const text = source.slice(at, at + broken)
    const message = `"${text}" begins a MAC or IPv6 address that is not complete; write all of it`
    throw new FilterError(message, source, spanOf(at, broken))
  }
  return null
}

/** How many characters at `at` have the form of an IPv6 address, its dotted quad unchecked. */
function ipv6Length(source: string, at: number): number {
  const run = source.slice(at, at + Math.min(lengthOf(ADDRESS_RUN, source, at), 80))
  if (run.indexOf(':') === run.lastIndexOf(':')) return 0
  for (let length = run.length; length > 1; length--) {
    const text = run.slice(0, length).replace(/:\d+\.\d+\.\d+\.\d+$/, ':0.0.0.0')
    if (parseIpv6(text)) return length
  }
  return 0
}

/** Numbers, dotted IPv4, reserved words, constants and names: what the name pattern covers. */
function readWord(source: string, at: number, length: number): Token {
  const span = spanOf(at, length)
  const text = source.slice(at, at + length)
  if (lengthOf(NUMBER, source, at) === length)
    return { kind: 'number', text, value: readNumber(source, text, span), span }
  if (lengthOf(IPV4, source, at) === length) return { kind: 'ipv4', text, span }
  const keyword = KEYWORDS.get(text)
  if (keyword !== undefined) return { kind: 'symbol', text: keyword, span }
  const constant = CONSTANTS.get(text)
  if (constant !== undefined) return { kind: 'number', text, value: constant, span }
  return { kind: 'name', text, span }
}

function readNumber(source: string, text: string, span: Span): number {
  const octal = /^0\d/.test(text)
  if (octal && /[89]/.test(text)) {
    throw new FilterError(
      `"${text}" starts with 0 and so is octal, but has the digit 8 or 9; remove the 0`,
      source,
      span,
    )
  }
  const value = octal ? Number.parseInt(text, 8) : Number(text)
  if (value <= 0xffffffff) return value
  throw new FilterError(`"${text}" does not fit into 32 bits; write at most 4294967295`, source, span)
}

function lengthOf(pattern: RegExp, source: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(source) ? pattern.lastIndex - at : 0
}

function spanOf(start: number, length: number): Span {
  return { start, end: start + length }
}
