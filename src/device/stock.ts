import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS, type FrameClass, type Space, type WorkerPool } from '../memory/index.js'

/**
 * Empty frames that a device copies packets into, kept from one call to the
 * next, so that looking in vain for packets moves no frames.
 */
export interface Stock {
  /** A bundle; whoever uses a frame takes the last descriptor. */
  readonly bundle: number
  readonly frameBytes: FrameClass
  /** Takes frames where none is left; gives how many there are, 0 where the pool has none. */
  fill(): number
  close(): void
}

const TAKEN_AT_ONCE = 32

/** An empty stock. Throws LayoutError. */
export function openStock(space: Space, pool: WorkerPool, title: string, frameBytes: FrameClass): Stock {
  const { words } = space
  const { name, offset: bundle } = space.reserve({ name: title, kind: 'bundle', bytes: BUNDLE_BYTES })
  return {
    bundle,
    frameBytes,
    fill: () => words[bundle >>> 2]! || pool.take(bundle, TAKEN_AT_ONCE, frameBytes),
    close() {
      pool.give(bundle + BUNDLE_DESCRIPTORS, words[bundle >>> 2]!)
      space.free(name)
    },
  }
}
