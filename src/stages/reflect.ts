import type { Stage } from '../engine/index.js'

/** Swaps the Ethernet addresses, so that a packet that is sent where it came from finds its way back. */
export function reflect(name = 'reflect'): Stage {
  return {
    name,
    outputs: ['out'],
    drops: ['too short'],
    kind: 'reflect',
    settings: {},
    start({ code, pool, drops }) {
      const run = code.find('reflect')
      return { run: (bundle) => run(pool.address, bundle, drops) }
    },
  }
}
