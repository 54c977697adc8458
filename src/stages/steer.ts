import type { Stage } from '../engine/index.js'
import { METADATA_HAS_FLOW } from '../memory/index.js'

export interface SteerOptions {
  /**
   * `metadata`, unless it is said: the flow hash that the driver's program has
   * written into the frame, where there is one, and the header's otherwise.
   * `header`: always from the header.
   */
  readonly hash?: 'metadata' | 'header'
}

/**
 * Shares packets out to `shares` outputs, called `0`, `1`, …, by the hash of
 * their flow (`wire/flow-hash.ts`): each flow goes one way, in its order. What
 * stands behind an output is up to the graph: stages of this worker, or the
 * ring to another, which gets what a bundle has for it at once. Throws
 * RangeError where there is no share.
 */
export function steer(name: string, shares: number, { hash = 'metadata' }: SteerOptions = {}): Stage {
  if (!Number.isInteger(shares) || shares < 1)
    throw new RangeError(`${name} cannot share packets out to ${shares} outputs; give 1 or more`)
  return {
    name,
    outputs: Array.from({ length: shares }, (_, share) => String(share)),
    drops: [],
    kind: 'steer',
    settings: { shares, hash },
    start({ space, code, outputs, reserve }) {
      const targets = reserve('targets', 'table', shares * 4)
      space.words.set(outputs, targets / 4)
      const run = code.find('steer')
      const mask = hash === 'metadata' ? METADATA_HAS_FLOW : 0
      return { run: (bundle) => run(bundle, targets, shares, mask) }
    },
  }
}
