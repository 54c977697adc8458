import type { Span } from './ast.js'
import { FilterError } from './error.js'
import { type Token, tokenize } from './lexer.js'

/** Parentheses, `not`, brackets and changes between `and` and `or` that one expression may nest. */
const MAX_NESTING = 256

/** A place in the tokens of one expression, and how deep the parser stands there. */
export interface Cursor {
  readonly source: string
  readonly tokens: readonly Token[]
  at: number
  nesting: number
}

/** A cursor on the first token. Throws a FilterError where the text is no token. */
export function openCursor(source: string): Cursor {
  return { source, tokens: tokenize(source), at: 0, nesting: 0 }
}

/** The token under the cursor, or `ahead` tokens after it; the `end` token repeats. */
export function peek(cursor: Cursor, ahead = 0): Token {
  return cursor.tokens[Math.min(cursor.at + ahead, cursor.tokens.length - 1)]!
}

/** Takes the token under the cursor. */
export function take(cursor: Cursor): Token {
  const token = peek(cursor)
  cursor.at++
  return token
}

/** Whether the cursor, or the token `ahead` of it, is this operator or reserved word. */
export function isAt(cursor: Cursor, symbol: string, ahead = 0): boolean {
  const token = peek(cursor, ahead)
  return token.kind === 'symbol' && token.text === symbol
}

/** The operator or reserved word under the cursor, or null. */
export function symbolAt(cursor: Cursor, ahead = 0): string | null {
  const token = peek(cursor, ahead)
  return token.kind === 'symbol' ? token.text : null
}

/** Takes the operator or reserved word when it stands there. */
export function accept(cursor: Cursor, symbol: string): boolean {
  if (!isAt(cursor, symbol)) return false
  cursor.at++
  return true
}

/** Takes the operator or reserved word; throws a FilterError when something else stands there. */
export function expect(cursor: Cursor, symbol: string, expected = `"${symbol}"`): Token {
  if (!isAt(cursor, symbol)) throw unexpected(cursor, expected)
  return take(cursor)
}

/** Takes a number; throws a FilterError that names what the number is for. */
export function expectNumber(cursor: Cursor, what: string): Token & { kind: 'number' } {
  const token = peek(cursor)
  if (token.kind !== 'number') throw unexpected(cursor, what)
  cursor.at++
  return token
}

/** From the start of a span to the end of the token taken last. */
export function spanFrom(cursor: Cursor, start: Span): Span {
  return { start: start.start, end: cursor.tokens[cursor.at - 1]!.span.end }
}

/** Runs a nested rule; refuses text that nests so deep that it would exhaust the stack. */
export function nested<Result>(cursor: Cursor, rule: () => Result): Result {
  deepen(cursor)
  const result = rule()
  cursor.nesting--
  return result
}

/** One level deeper for the rest of the expression. */
export function deepen(cursor: Cursor): void {
  if (++cursor.nesting <= MAX_NESTING) return
  throw errorAt(cursor, `the expression nests more than ${MAX_NESTING} levels deep here; split it`, peek(cursor).span)
}

/** The error for a token that no rule accepts at this place. */
export function unexpected(cursor: Cursor, expected: string): FilterError {
  const token = peek(cursor)
  const shown = cursor.source.slice(token.span.start, token.span.end)
  const what = token.kind === 'end' ? 'the expression ends too early' : `"${shown}" cannot stand here`
  return new FilterError(`${what}; write ${expected}`, cursor.source, token.span, expected)
}

/** An error about a part of the expression that the parser stands in. */
export function errorAt(cursor: Cursor, message: string, span: Span, expected?: string): FilterError {
  return new FilterError(message, cursor.source, span, expected)
}
