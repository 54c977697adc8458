import type { Judge, Stage } from '../engine/index.js'
import { BUNDLE_DESCRIPTORS } from '../memory/index.js'
import { reserveVerdicts } from './verdicts.js'

/** Sends what a compiled expression matches to `matched`, the rest to `rest`. */
export function divide(name: string, judge: Judge): Stage {
  return {
    name,
    outputs: ['rest', 'matched'],
    drops: [],
    kind: 'divide',
    settings: { judge },
    start(host) {
      const { space, code, outputs } = host
      const { verdicts, chosen } = reserveVerdicts(host, [true])
      const run = code.find('divide')
      return {
        run(bundle) {
          judge(bundle + BUNDLE_DESCRIPTORS, space.words[bundle >>> 2]!, verdicts)
          run(bundle, verdicts, chosen, outputs[1]!)
        },
      }
    },
  }
}
