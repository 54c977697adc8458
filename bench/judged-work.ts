import type { Judge } from '../src/codegen/index.js'
import type { Stage } from '../src/engine/index.js'
import { BUNDLE_DESCRIPTORS } from '../src/memory/index.js'

/** A rule that reads headers up to the ports, and matches none of the benchmarks' packets. */
export const WORK_RULE =
  'udp and src net 198.51.100.0/24 and (dst port 53 or dst port 123 or src port 11211) or tcp[tcpflags] & tcp-syn != 0'

/** Work on packets that can be made as large as one likes: judges each so often, and gives its frame back. It counts them as drops, `done`. */
export function judgedWork(name: string, judgements: number, judge: Judge): Stage {
  return {
    name,
    outputs: [],
    drops: ['done'],
    kind: 'work',
    settings: { judgements },
    start({ space, reserve, dropAll }) {
      const verdicts = reserve('verdicts', 'state', 1024)
      return {
        run(bundle) {
          const count = space.words[bundle >>> 2]!
          for (let time = 0; time < judgements; time++) judge(bundle + BUNDLE_DESCRIPTORS, count, verdicts)
          dropAll(bundle, 0)
        },
      }
    },
  }
}
