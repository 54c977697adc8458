import type { Stage } from '../engine/index.js'

/**
 * Shows each bundle to a function and hands it on: a capture at any edge of a
 * graph is `observe('before', file.look)`. The function changes nothing.
 */
export function observe(name: string, look: (bundle: number) => void): Stage {
  return { name, outputs: ['out'], drops: [], kind: 'observe', settings: { look }, start: () => ({ run: look }) }
}
