import { FilterError } from '../filter/index.js'
import { UnsupportedError } from '../ir/index.js'

/** What is wrong with the expression `text`, with its place; null where `error` is about something else. */
export function asFilterError(error: unknown, text: string): FilterError | null {
  if (error instanceof FilterError) return error
  return error instanceof UnsupportedError ? new FilterError(error.message, text, error.span) : null
}
