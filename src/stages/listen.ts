import type { Judge, Stage } from '../engine/index.js'
import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS, MOST_IN_BUNDLE } from '../memory/index.js'
import { reserveChosen, VERDICT_BYTES } from './verdicts.js'

/** Where a listener counts, f64 each: the packets that it is about, their bytes on the wire, and those that were copied. */
export const LISTENED = { packets: 0, bytes: 8, copied: 16, all: 24 } as const

/** Memory that listeners of one thread share: verdicts, and a bundle. */
export const LISTEN_SCRATCH_BYTES = BUNDLE_BYTES + MOST_IN_BUNDLE * VERDICT_BYTES

export interface ListenOptions {
  /** Of one expression: which packets it is about. */
  readonly judge: Judge
  /** `drop`: they go no further, as `filtered`. `count`: they are counted. `mirror`: a copy of each goes to `copies`, or there was no frame for one, `not copied`. */
  readonly action: 'drop' | 'count' | 'mirror'
  /** Address of LISTENED.all bytes that only the threads' own stages of this listener add to, and that stay when it goes. */
  readonly counters: number
  /** Address of LISTEN_SCRATCH_BYTES of this thread. */
  readonly scratch: number
}

/** A filter, counter or mirror of what passes here, for the packets of an expression; all others are left alone. */
export function listen(name: string, { judge, action, counters, scratch }: ListenOptions): Stage {
  return {
    name,
    outputs: action === 'mirror' ? ['out', 'copies'] : ['out'],
    drops: DROPS[action],
    kind: 'listen',
    settings: { judge, action, counters, scratch },
    start(host) {
      const { space, pool, code, outputs, drops } = host
      const verdicts = scratch + BUNDLE_BYTES
      const [tally, filter, copy] = [code.find('tally'), code.find('earlyDrop'), code.find('mirror')]
      const look = (bundle: number) => {
        judge(bundle + BUNDLE_DESCRIPTORS, space.words[bundle >>> 2]!, verdicts)
        tally(bundle, verdicts, counters)
      }
      if (action === 'count') return { run: look }
      if (action === 'mirror')
        return {
          run(bundle) {
            look(bundle)
            copy(pool.address, bundle, verdicts, outputs[1]!, counters + LISTENED.copied, drops)
          },
        }
      const chosen = reserveChosen(host, [true])
      return {
        run(bundle) {
          look(bundle)
          filter(pool.address, bundle, verdicts, chosen, scratch, drops)
        },
      }
    },
  }
}

const DROPS = { drop: ['filtered'], count: [], mirror: ['not copied'] } as const
