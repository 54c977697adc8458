import { placeMatcher } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import { draw, planWorkers, receive, type Stage, send, type WorkerHost } from '../src/engine/index.js'
import { BUNDLE_DESCRIPTORS } from '../src/memory/index.js'
import { steer } from '../src/stages/index.js'
import { openSource } from './packet-source.js'

/** Who does the work: the worker that receives, another one, or each for a half of the flows. */
export type Sharing = 'nobody' | 'one' | 'other' | 'both'

export interface SteeringSettings {
  readonly sharing: Sharing
  /** How often each packet is judged: the work. */
  readonly judgements: number
}

/** A rule that reads headers up to the ports, and matches none of the benchmark's packets. */
const RULE =
  'udp and src net 198.51.100.0/24 and (dst port 53 or dst port 123 or src port 11211) or tcp[tcpflags] & tcp-syn != 0'

export const steeringPlan = planWorkers<SteeringSettings>(import.meta.url, {
  front: {
    to: ['back'],
    graph(host, { sharing, judgements }) {
      const source = receive(host.keep('source', () => openSource(host.space, host.pool, () => 'recycled')))
      const back = send(host.to('back'))
      switch (sharing) {
        case 'nobody':
          // The matcher stays, and with it the code that V8 has optimized.
          work(host, judgements)
          return draw()
        case 'one':
          return draw([source, work(host, judgements)])
        case 'other':
          work(host, judgements)
          return draw([source, back])
        case 'both':
          return draw([source, steer('flows', 2), work(host, judgements)], ['flows.1', back])
      }
    },
  },
  back: { graph: (host, { judgements }) => draw([receive(host.from('front')), work(host, judgements)]) },
})

/** Judges each packet so often, and gives its frame back. */
function work(host: WorkerHost, judgements: number): Stage {
  const matcher = host.keep('matcher', () => placeMatcher(host.space, 'work', compileFilter(RULE).optimized))
  return {
    name: 'work',
    outputs: [],
    drops: ['done'],
    kind: 'work',
    settings: { judgements },
    start({ space, reserve, dropAll }) {
      const verdicts = reserve('verdicts', 'state', 1024)
      return {
        run(bundle) {
          const count = space.words[bundle >>> 2]!
          for (let time = 0; time < judgements; time++) matcher.judge(bundle + BUNDLE_DESCRIPTORS, count, verdicts)
          dropAll(bundle, 0)
        },
      }
    },
  }
}
