import type { Stage } from '../engine/index.js'

export interface Budget {
  readonly packetsPerSecond: number
  /** Packets that may come at once, 1 or more. */
  readonly burst: number
}

/**
 * Lets so many packets a second go on and drops the others: what stands before
 * the ring to a flood queue, so that suspect traffic takes no more of the pool
 * and of the worker behind it than it was given. Throws RangeError for a burst
 * with which nothing would ever go on, and for a rate below 0.
 */
export function budget(name: string, { packetsPerSecond, burst }: Budget): Stage {
  if (!(burst >= 1 && packetsPerSecond >= 0))
    throw new RangeError(
      `${name} cannot let ${packetsPerSecond} packets a second go on, ${burst} at once; give 0 or more, and 1 or more`,
    )
  return {
    name,
    outputs: ['within'],
    drops: ['over budget'],
    kind: 'budget',
    settings: { packetsPerSecond, burst },
    start({ space, code, pool, drops, reserve }) {
      const state = reserve('tokens', 'state', 16)
      space.counters.set([burst, performance.now()], state / 8)
      const run = code.find('budget')
      const packetsPerMs = packetsPerSecond / 1000
      return { run: (bundle) => run(pool.address, bundle, state, performance.now(), packetsPerMs, burst, drops) }
    },
  }
}
