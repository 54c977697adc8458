import type { Engine } from './engine.js'

export interface TurnOptions {
  /** What is done for each round; the engine's own where it is not said. */
  round?(): number
  /** Rounds after which the event loop has its turn though there are packets. */
  readonly rounds?: number
  /** How long to look for packets before sleeping, in microseconds; Infinity: never sleep. */
  readonly spinUs?: number
  /** Whether the turn is to end, because something else is to be done. */
  isAsked?(): boolean
}

/** How long the event loop stands still at most where few packets come. */
const LONGEST_MS = 1
const LOOKS_A_CLOCK = 64

/**
 * The rounds of an engine that it does before the event loop of its thread has
 * its turn again. It tells whether to go on as soon as that had it; if not, to
 * sleep in `Engine.wait`. Gaps of less than a millisecond are slept through in
 * the kernel, at a fraction of what it costs to sleep in the event loop.
 */
export function createTurn(
  engine: Engine,
  { round = engine.round, rounds = 64, spinUs = 0, isAsked = () => false }: TurnOptions = {},
): () => boolean {
  return () => {
    const end = performance.now() + LONGEST_MS
    for (let count = 0; count < rounds; count++) {
      const packets = round()
      if (isAsked()) return true
      if (packets > 0 || spinUs === Number.POSITIVE_INFINITY || spin(engine, spinUs, isAsked)) continue
      const leftMs = end - performance.now()
      if (leftMs <= 0) return true
      if (!engine.doze(leftMs)) return false
    }
    return true
  }
}

/** Looks for packets as long as it was asked to; whether some came. */
function spin(engine: Engine, spinUs: number, isAsked: () => boolean): boolean {
  if (spinUs === 0) return false
  const end = performance.now() + spinUs / 1000
  do {
    for (let look = 0; look < LOOKS_A_CLOCK; look++) if (engine.isReady()) return true
  } while (performance.now() < end && !isAsked())
  return false
}
