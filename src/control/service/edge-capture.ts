import { placeMatcher } from '../../codegen/index.js'
import { bundlePackets, type CapturedPacket } from '../../device/index.js'
import type { Engine, Stage } from '../../engine/index.js'
import { BUNDLE_DESCRIPTORS, MOST_IN_BUNDLE, type Space } from '../../memory/index.js'
import { compileExpression } from './compile-expression.js'
import type { CapturedPackets, SentPacket } from './protocol.js'

/** Packets that pass an edge of a graph, copied for a command. */
export interface EdgeCapture {
  take(): CapturedPackets
  /** The graph goes on without it. */
  stop(): void
}

/** Bytes that wait to be fetched at most; as base64 they fit into an answer. */
const MOST_WAITING_BYTES = 16 << 20
const VERDICT_BYTES = 4
const MATCHED = 0

/** Captures of one process are numbered, because regions and stages have names. */
let captures = 0

/**
 * Copies packets that pass an edge (`STAGE.OUTPUT`, `receive DEVICE`) and match
 * an expression, or all, up to `limit`, until it is stopped. Throws FilterError,
 * GraphError where there is no such edge, and LayoutError.
 */
export function startEdgeCapture(
  engine: Pick<Engine, 'tap'>,
  space: Space,
  edge: string,
  expression: string | null,
  limit: number | null,
): EdgeCapture {
  const name = `capture ${++captures} of ${edge}`
  const matcher = expression === null ? null : placeMatcher(space, name, compileExpression(expression))
  const eachPacket = bundlePackets(space)
  let waiting: SentPacket[] = []
  let [waitingBytes, lost, left] = [0, 0, limit ?? Number.POSITIVE_INFINITY]

  const keep = ({ data, ...rest }: CapturedPacket) => {
    if (left === 0) return
    if (waitingBytes + data.length > MOST_WAITING_BYTES) {
      lost++
      return
    }
    left--
    waitingBytes += data.length
    waiting.push({ data: Buffer.from(data).toString('base64'), ...rest })
  }
  const stage: Stage = {
    name,
    outputs: ['out'],
    drops: [],
    kind: 'capture',
    settings: { keep },
    start({ reserve }) {
      if (matcher === null) return { run: (bundle) => eachPacket(bundle, keep) }
      const verdicts = reserve('verdicts', 'state', MOST_IN_BUNDLE * VERDICT_BYTES)
      const keepMatching = (packet: CapturedPacket, index: number) => {
        if (space.words[(verdicts >>> 2) + index] === MATCHED) keep(packet)
      }
      return {
        run(bundle) {
          matcher.judge(bundle + BUNDLE_DESCRIPTORS, space.words[bundle >>> 2]!, verdicts)
          eachPacket(bundle, keepMatching)
        },
      }
    },
  }
  const untap = tapOr(() => matcher?.close())

  function tapOr(undo: () => void): () => void {
    try {
      return engine.tap(edge, stage)
    } catch (error) {
      undo()
      throw error
    }
  }

  return {
    take() {
      const packets = waiting
      waiting = []
      waitingBytes = 0
      return { packets, lost, isDone: left === 0 }
    },
    stop() {
      untap()
      matcher?.close()
    },
  }
}
