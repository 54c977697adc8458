import type { Span } from '../filter/index.js'

/**
 * A valid expression that cannot be compiled: the message says what and why,
 * `span` is the place in the text. Never a wrong match instead.
 */
export class UnsupportedError extends Error {
  override name = 'UnsupportedError'

  constructor(
    message: string,
    readonly span: Span,
  ) {
    super(message)
  }
}
