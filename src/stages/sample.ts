import type { Stage } from '../engine/index.js'
import { type Copies, reserveCopies } from './copies.js'

export interface SampleOptions {
  /** One packet of so many is taken, by chance. */
  readonly oneIn: number
  /** So many bytes of it at most are copied; its length on the wire stays known. By default 128. */
  readonly bytes?: number
  /** The same seed takes the same packets of a row; by default another one each time. */
  readonly seed?: number
}

/**
 * Sends the first bytes of some packets to `samples`, as copies; all packets go
 * on. A sample that there is no frame for is counted as `no frame`. Throws
 * RangeError for less than one packet in one.
 */
export function sample(name: string, { oneIn, bytes = 128, seed = newSeed() }: SampleOptions): Stage & Copies {
  if (!(oneIn >= 1)) throw new RangeError(`${name} cannot take one packet in ${oneIn}; give 1 or more`)
  const copies = reserveCopies()
  return {
    name,
    outputs: ['out', 'samples'],
    drops: ['no frame'],
    kind: 'sample',
    settings: { oneIn, bytes },
    read: copies.read,
    start(host) {
      const { space, code, pool, outputs, drops, reserve } = host
      const { counter, close } = copies.start(host)
      const state = reserve('random numbers', 'state', 4)
      // Xorshift stays at zero for ever.
      space.words[state / 4] = seed >>> 0 || 1
      const [run, threshold] = [code.find('sample'), 2 ** 32 / oneIn]
      return {
        run: (bundle) => run(pool.address, bundle, outputs[1]!, state, threshold, bytes, counter, drops),
        close,
      }
    },
  }
}

function newSeed(): number {
  return Math.floor(Math.random() * 2 ** 32)
}
