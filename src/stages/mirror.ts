import type { Stage } from '../engine/index.js'
import { type Copies, reserveCopies } from './copies.js'

/**
 * Sends a copy of each packet to `copies`, with its time and metadata; the packet
 * itself goes on. What there is no frame for goes on without a copy, and that is
 * counted as `no frame`. `read` tells how many were copied.
 */
export function mirror(name: string): Stage & Copies {
  const copies = reserveCopies()
  return {
    name,
    outputs: ['out', 'copies'],
    drops: ['no frame'],
    kind: 'mirror',
    settings: {},
    read: copies.read,
    start(host) {
      const { code, pool, outputs, drops } = host
      const { counter, close } = copies.start(host)
      const run = code.find('mirror')
      return { run: (bundle) => run(pool.address, bundle, 0, outputs[1]!, counter, drops), close }
    },
  }
}
