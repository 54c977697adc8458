import { placeMatcher } from '../../codegen/index.js'
import { compileFilter } from '../../compile.js'
import { type Engine, printTrace, type Trace, type TracedPacket } from '../../engine/index.js'
import type { Graph } from '../../ir/index.js'
import type { Space } from '../../memory/index.js'
import { asFilterError } from '../filter-error.js'

export { printTrace, type Trace, type TracedPacket }

/**
 * Follows the packets that match an expression, at most `limit` of them, until
 * it is stopped. Throws FilterError, LayoutError where the memory has no room
 * for what it needs, and what `Engine.trace` throws.
 */
export function startTrace(engine: Pick<Engine, 'trace'>, space: Space, expression: string, limit: number): Trace {
  const matcher = placeMatcher(space, 'trace', compile(expression))
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

function compile(expression: string): Graph {
  try {
    return compileFilter(expression).optimized
  } catch (error) {
    throw asFilterError(error, expression) ?? error
  }
}
