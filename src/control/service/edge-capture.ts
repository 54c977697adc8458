import { placeMatcher } from '../../codegen/index.js'
import {
  captureTo,
  createPacketLog,
  type Engine,
  packetLogState,
  takeFromLog,
  type Workers,
} from '../../engine/index.js'
import type { Space } from '../../memory/index.js'
import { compileExpression } from './compile-expression.js'
import type { CapturedPackets } from './protocol.js'

/** Packets that pass an edge of a graph, copied for a command. */
export interface EdgeCapture {
  take(): CapturedPackets
  /** The graph goes on without it. */
  stop(): void
}

/** Bytes that wait to be fetched at most; as base64 they fit into an answer. */
const MOST_WAITING_BYTES = 16 << 20

/** Captures of one process are numbered, because regions and stages have names. */
let captures = 0

/**
 * Copies packets that pass an edge (`STAGE.OUTPUT`, `receive DEVICE`; of workers
 * with `WORKER: ` in front) and match an expression, or all, up to `limit`, until
 * it is stopped. Throws FilterError, GraphError where there is no such edge, and LayoutError.
 */
export function startEdgeCapture(
  engine: Pick<Engine, 'tap'> | Pick<Workers<never>, 'capture'>,
  space: Space,
  edge: string,
  expression: string | null,
  limit: number | null,
): EdgeCapture {
  const name = `capture ${++captures} of ${edge}`
  const matcher = expression === null ? null : placeMatcher(space, name, compileExpression(expression))
  const ended = () => matcher?.close()
  const log = createPacketLog(MOST_WAITING_BYTES, limit ?? Number.POSITIVE_INFINITY)

  function start(): () => void {
    if ('capture' in engine) return engine.capture(edge, { name, log, matcher: matcher?.place ?? null, ended })
    const untap = engine.tap(edge, captureTo(name, log, matcher?.judge ?? null))
    return () => {
      untap()
      ended()
    }
  }

  function startOr(undo: () => void): () => void {
    try {
      return start()
    } catch (error) {
      undo()
      throw error
    }
  }

  return {
    stop: startOr(ended),
    take() {
      // First the state: what was the last packet then, is among those that are taken.
      const state = packetLogState(log)
      const packets = takeFromLog(log).map(({ data, ...rest }) => ({
        data: Buffer.from(data.buffer).toString('base64'),
        ...rest,
      }))
      return { packets, ...state }
    },
  }
}
