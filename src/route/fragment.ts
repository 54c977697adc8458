import type { Stage } from '../engine/index.js'
import { DESCRIPTOR_BYTES } from '../memory/index.js'
import {
  FRAGMENT_BYTES,
  FRAGMENT_DROPS,
  FRAGMENT_IDENTIFY,
  FRAGMENT_OUTPUT,
  FRAGMENT_TABLES,
} from './fragment-formats.js'
import type { RoutesPlace } from './routes.js'

/**
 * Cuts IPv4 packets that are longer than the MTU of their next hop, and may be
 * cut, into fragments (RFC 791, 2.3 and 3.2), each in a frame of its own, with
 * the time to live that they came with: `fragments` is for another `forward`.
 * What is noted otherwise goes on by `others`, to `errors`. Fragments are cut as
 * well; options that say so stand in each. Dropped are packets that were merged:
 * where such come, `segment` stands before `forward`. `identify` is where
 * identifications are taken from (`Flows.identify`) for those whose source will
 * be translated; what was whole has its own where it is not said.
 */
export function fragment(name: string, tables: RoutesPlace, identify = 0): Stage {
  return {
    name,
    outputs: ['others', 'fragments'],
    drops: ['no frame', 'malformed', 'merged'],
    kind: 'fragment',
    settings: { address: tables.address, identify },
    start({ space, code, pool, outputs, drops, reserve }) {
      const { words } = space
      const state = reserve('state', 'state', FRAGMENT_BYTES)
      words[(state + FRAGMENT_TABLES) / 4] = tables.address
      words[(state + FRAGMENT_OUTPUT) / 4] = outputs[1]!
      words[(state + FRAGMENT_DROPS) / 4] = drops
      words[(state + FRAGMENT_IDENTIFY) / 4] = identify
      const run = code.find('fragment')
      return {
        run: (bundle) => run(pool.address, state, bundle),
        hasMore: () => words[state / 4] !== words[state / 4 + 1],
        close() {
          const [next, end] = [words[state / 4]!, words[state / 4 + 1]!]
          pool.give(next, (end - next) / DESCRIPTOR_BYTES)
        },
      }
    },
  }
}
