import { openBell } from '../engine/index.js'
import { BUNDLE_BYTES, type Code, type Space, type WorkerPool } from '../memory/index.js'
import { SHARED_BELL } from './formats.js'
import { attachConsumer, type SharedQueuePlace } from './shared-queue.js'

/** What other workers have for a queue. */
export interface Intake {
  /** Where `pull` puts packets; whoever takes them leaves it empty. */
  readonly bundle: number
  pull(): number
  isReady(): boolean
  /** Resolves when a producer rings, at once where `isDue`, and after `timeoutMs`. */
  wait(isDue: () => boolean, timeoutMs: number): Promise<void>
  /** Ends the present `wait`. */
  wake(): void
  close(): void
}

const TAKEN_AT_ONCE = 64

/** The consumer's end of a shared queue, and the bell at which it sleeps. Throws LayoutError. */
export function openIntake(space: Space, code: Code, pool: WorkerPool, title: string, place: SharedQueuePlace): Intake {
  const region = space.reserve({ name: `${title} intake`, kind: 'bundle', bytes: BUNDLE_BYTES })
  const { pull, isReady } = attachConsumer(space, code, place, pool)
  const bell = openBell(space, code, place.address + SHARED_BELL)
  return {
    bundle: region.offset,
    pull: () => pull(region.offset, TAKEN_AT_ONCE),
    isReady,
    wait: bell.wait,
    wake: bell.ring,
    close: () => space.free(region.name),
  }
}
