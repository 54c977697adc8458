import type { Span } from './ast.js'

/**
 * A filter expression that cannot be used: what is wrong (one sentence that
 * also says what to do), where, and, when a list helps, what was expected at
 * that place.
 */
export class FilterError extends Error {
  override readonly name = 'FilterError'
  readonly source: string
  readonly span: Span
  readonly expected: string | undefined

  constructor(message: string, source: string, span: Span, expected?: string) {
    super(message)
    this.source = source
    this.span = span
    this.expected = expected
  }
}

/** Columns of the expression that are shown around the fault. */
const WINDOW = 96

/**
 * The message, the expression, a caret line under the fault, and what was
 * expected there unless the message says it, indented by two columns. Of a
 * long expression only the part around the fault is shown.
 */
export function formatFilterError(error: FilterError): string {
  const { source, span, message, expected } = error
  const first = Math.max(0, Math.min(span.start, source.length) - WINDOW / 2)
  const start = source.length <= WINDOW ? 0 : Math.min(first, Math.max(0, source.length - WINDOW))
  const end = Math.min(source.length, start + WINDOW)
  const before = start > 0 ? '…' : ''
  const after = end < source.length ? '…' : ''
  // One column per UTF-16 unit, so that the carets stay under the fault.
  const shown = source.slice(start, end).replace(/[\p{Cc}\u2028\u2029]/gu, ' ')
  const column = before.length + span.start - start
  const width = Math.max(1, Math.min(span.end, end) - span.start)
  const lines = [message, `  ${before}${shown}${after}`, `  ${' '.repeat(column)}${'^'.repeat(width)}`]
  if (expected !== undefined && !message.includes(expected))
    lines.push(`  ${' '.repeat(Math.min(column, 24))}expected ${expected}`)
  return lines.join('\n')
}
