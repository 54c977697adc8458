import type { Stage } from '../engine/index.js'

/** The end of a line: frames go back to the pool, and are counted as dropped for `reason`. */
export function discard(name: string, reason = name): Stage {
  return {
    name,
    outputs: [],
    drops: [reason],
    kind: 'discard',
    settings: { reason },
    start: ({ dropAll }) => ({ run: (bundle) => dropAll(bundle, 0) }),
  }
}
