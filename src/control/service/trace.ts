import { placeMatcher } from '../../codegen/index.js'
import { type Engine, printTrace, type Trace, type TracedPacket, type Workers } from '../../engine/index.js'
import type { Space } from '../../memory/index.js'
import { compileExpression } from './compile-expression.js'

export { printTrace, type Trace, type TracedPacket }

/**
 * Follows the packets that match an expression, at most `limit` of them, until
 * it is stopped. Throws FilterError, LayoutError where the memory has no room
 * for what it needs, and what the engine's or the workers' `trace` throws.
 */
export function startTrace(
  engine: Pick<Engine, 'trace' | 'tap'> | Pick<Workers<never>, 'trace' | 'capture'>,
  space: Space,
  expression: string,
  limit: number,
): Trace {
  const { judge, place: matcher, close: ended } = placeMatcher(space, 'trace', compileExpression(expression))
  try {
    return 'capture' in engine ? engine.trace({ matcher, limit, ended }) : engine.trace({ judge, limit, ended })
  } catch (error) {
    ended()
    throw error
  }
}
