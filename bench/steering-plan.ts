import { placeMatcher } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import { draw, planWorkers, receive, type Source, type Stage, send, type WorkerHost } from '../src/engine/index.js'
import { steer } from '../src/stages/index.js'
import { judgedWork, WORK_RULE } from './judged-work.js'
import { openSource } from './packet-source.js'

/**
 * Who receives and does the work: the first worker alone, on its core; the second
 * one, on the other; the first receives and the second works; each works for a half of the flows, which the first receives.
 */
export type Sharing = 'nobody' | 'front' | 'back' | 'handed over' | 'both'

export interface SteeringSettings {
  readonly sharing: Sharing
  /** How often each packet is judged: the work. */
  readonly judgements: number
}

export const steeringPlan = planWorkers<SteeringSettings>(import.meta.url, {
  front: {
    to: ['back'],
    graph(host, { sharing, judgements }) {
      // What is made here stays, and with it the code that V8 has optimized.
      const [source, end, back] = [sourceOf(host), work(host, judgements), send(host.to('back'))]
      switch (sharing) {
        case 'nobody':
        case 'back':
          return draw()
        case 'front':
          return draw([source, end])
        case 'handed over':
          return draw([source, back])
        case 'both':
          return draw([source, steer('flows', 2), end], ['flows.1', back])
      }
    },
  },
  back: {
    graph(host, { sharing, judgements }) {
      const [source, end] = [sourceOf(host), work(host, judgements)]
      const handed = receive(host.from('front'))
      return draw([sharing === 'back' ? source : handed, end])
    },
  },
})

function sourceOf(host: WorkerHost): Source {
  return receive(host.keep('source', () => openSource(host.space, host.pool, () => 'recycled')))
}

function work({ space, keep }: WorkerHost, judgements: number): Stage {
  const matcher = keep('matcher', () => placeMatcher(space, 'work', compileFilter(WORK_RULE).optimized))
  return judgedWork('work', judgements, matcher.judge)
}
