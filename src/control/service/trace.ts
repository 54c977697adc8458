import { placeMatcher } from '../../codegen/index.js'
import { type Engine, printTrace, type Trace, type TracedPacket } from '../../engine/index.js'
import type { Space } from '../../memory/index.js'
import { compileExpression } from './compile-expression.js'

export { printTrace, type Trace, type TracedPacket }

/**
 * Follows the packets that match an expression, at most `limit` of them, until
 * it is stopped. Throws FilterError, LayoutError where the memory has no room
 * for what it needs, and what `Engine.trace` throws.
 */
export function startTrace(engine: Pick<Engine, 'trace'>, space: Space, expression: string, limit: number): Trace {
  const matcher = placeMatcher(space, 'trace', compileExpression(expression))
  try {
    const trace = engine.trace({ judge: matcher.judge, limit })
    return {
      ...trace,
      stop() {
        trace.stop()
        matcher.close()
      },
    }
  } catch (error) {
    matcher.close()
    throw error
  }
}
