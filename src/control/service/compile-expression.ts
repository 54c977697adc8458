import { compileFilter } from '../../compile.js'
import type { Graph } from '../../ir/index.js'
import { asFilterError } from '../filter-error.js'

/** An expression that a command has sent, for Ethernet packets. Throws FilterError. */
export function compileExpression(expression: string): Graph {
  try {
    return compileFilter(expression).optimized
  } catch (error) {
    throw asFilterError(error, expression) ?? error
  }
}
