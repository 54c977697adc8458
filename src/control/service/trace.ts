import { placeMatcher } from '../../codegen/index.js'
import { compileFilter } from '../../compile.js'
import { type Engine, type GraphEdge, onEdges, type Stage } from '../../engine/index.js'
import type { Graph } from '../../ir/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  MOST_IN_BUNDLE,
  type Space,
} from '../../memory/index.js'
import { asFilterError } from '../filter-error.js'

/** A packet on its way through a graph. */
export interface TracedPacket {
  /** From 1 on, in the order in which they came. */
  readonly number: number
  readonly device: string
  /** On the wire. */
  readonly bytes: number
  /** Its first bytes when it came, in hexadecimal. */
  readonly begin: string
  /** The stages that it came to, and through which output of the one before; null: from the device. */
  readonly steps: readonly { readonly stage: string; readonly output: string | null }[]
}

/** A trace at work. */
export interface Trace {
  /** Packets that have gone their way since the last call. */
  take(): TracedPacket[]
  /** Whether as many were found as were asked for. */
  isDone(): boolean
  /** The graph goes on without the trace. */
  stop(): void
}

const SHOWN_BYTES = 64
const VERDICT_BYTES = 4
/** Frames are aligned to this at least, and a stage that moves a packet's begin stays in its frame. */
const FRAME_ALIGNMENT = 512

function compile(expression: string): Graph {
  try {
    return compileFilter(expression).optimized
  } catch (error) {
    throw asFilterError(error, expression) ?? error
  }
}

interface Trail {
  readonly packet: Omit<TracedPacket, 'steps'>
  readonly steps: TracedPacket['steps'][number][]
}

/**
 * Follows the packets that match a filter from their device on, at most
 * `limit` of them: while it does, a stage stands on each edge of the graph, and
 * none does before and after. A packet is known by its frame, so that a stage
 * that copies or merges ends its trail. Throws FilterError, and LayoutError
 * where the memory has no room for what it needs.
 */
export function startTrace(
  engine: Pick<Engine, 'change' | 'graph'>,
  space: Space,
  expression: string,
  limit: number,
): Trace {
  const matcher = placeMatcher(space, 'trace', compile(expression))
  const underWay = new Map<number, Trail>()
  let finished: TracedPacket[] = []
  let count = 0

  const wordAt = (bundle: number, index: number, field: number) =>
    space.words[(bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + field) >>> 2]!
  const frameAt = (bundle: number, index: number) =>
    Math.floor(wordAt(bundle, index, DESCRIPTOR_ADDRESS) / FRAME_ALIGNMENT)
  const finish = (frame: number) => {
    const trail = underWay.get(frame)
    if (trail === undefined) return
    underWay.delete(frame)
    finished.push({ ...trail.packet, steps: trail.steps })
  }
  const begin = (bundle: number, index: number, { from, to }: GraphEdge) => {
    const address = wordAt(bundle, index, DESCRIPTOR_ADDRESS)
    const length = Math.min(SHOWN_BYTES, wordAt(bundle, index, DESCRIPTOR_CAPTURED))
    const begin = Buffer.from(space.bytes.subarray(address, address + length)).toString('hex')
    const packet = { number: ++count, device: from, bytes: wordAt(bundle, index, DESCRIPTOR_WIRE), begin }
    underWay.set(frameAt(bundle, index), { packet, steps: [{ stage: to, output: null }] })
  }

  const probe = (edge: GraphEdge): Stage => ({
    name: `trace ${edge.from}${edge.output === null ? '' : `.${edge.output}`}`,
    outputs: ['out'],
    drops: [],
    kind: 'trace',
    settings: { edge },
    start({ reserve }) {
      const verdicts = edge.output === null ? reserve('verdicts', 'state', MOST_IN_BUNDLE * VERDICT_BYTES) : 0
      return { run: edge.output === null ? (bundle) => enter(bundle, verdicts, edge) : (bundle) => pass(bundle, edge) }
    },
  })
  /** What comes in a frame that was followed is another packet. */
  function enter(bundle: number, verdicts: number, edge: GraphEdge): void {
    const packets = space.words[bundle >>> 2]!
    for (let index = 0; index < packets && underWay.size > 0; index++) finish(frameAt(bundle, index))
    if (count >= limit) return
    matcher.judge(bundle + BUNDLE_DESCRIPTORS, packets, verdicts)
    for (let index = 0; index < packets && count < limit; index++)
      if (space.words[(verdicts >>> 2) + index] === 0) begin(bundle, index, edge)
  }
  function pass(bundle: number, { output, to }: GraphEdge): void {
    const packets = space.words[bundle >>> 2]!
    for (let index = 0; index < packets && underWay.size > 0; index++)
      underWay.get(frameAt(bundle, index))?.steps.push({ stage: to, output })
  }

  const before = engine.graph()
  const traced = onEdges(before, probe)
  try {
    engine.change(traced)
  } catch (error) {
    matcher.close()
    throw error
  }
  return {
    take() {
      // Between two rounds nothing but what a stage keeps is under way.
      for (const frame of [...underWay.keys()]) finish(frame)
      const taken = finished
      finished = []
      return taken
    },
    isDone: () => count >= limit,
    stop() {
      // Where somebody has drawn another graph meanwhile, the trace went with the old one.
      if (engine.graph() === traced) engine.change(before)
      matcher.close()
    },
  }
}
