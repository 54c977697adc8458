import type { Judge, Stage } from '../engine/index.js'
import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS } from '../memory/index.js'
import { reserveVerdicts } from './verdicts.js'

/**
 * Drops what a compiled policy or expression says, before anything else has
 * read the packet. `drops[i]` says whether rule `i` drops; a packet whose first
 * matching rule does not drop or is not listed, or that none matches, goes on. Handing the same
 * `judge` and `drops` again keeps the stage when the graph is changed.
 */
export function earlyDrop(name: string, judge: Judge, drops: readonly boolean[] = DROP_ALL): Stage {
  return {
    name,
    outputs: ['passed'],
    drops: ['matched'],
    kind: 'early drop',
    settings: { judge, drops },
    start(host) {
      const { space, pool, code, reserve } = host
      const { verdicts, chosen } = reserveVerdicts(host, drops)
      const dropped = reserve('dropped', 'bundle', BUNDLE_BYTES)
      const run = code.find('earlyDrop')
      return {
        run(bundle) {
          judge(bundle + BUNDLE_DESCRIPTORS, space.words[bundle >>> 2]!, verdicts)
          run(pool.address, bundle, verdicts, chosen, dropped, host.drops)
        },
      }
    },
  }
}

/** One rule, which drops. */
const DROP_ALL: readonly boolean[] = [true]
