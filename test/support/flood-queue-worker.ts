import { placeMatcher } from '../../src/codegen/index.js'
import { compileFilter } from '../../src/compile.js'
import { draw, planWorkers, receive, type Stage, send } from '../../src/engine/index.js'
import { type Budget, budget, count, divide } from '../../src/stages/index.js'

export interface FloodQueueSettings {
  readonly budget: Budget
  /** What the worker behind the flood queue does for a bundle, in numbers that it adds up. */
  readonly toil: number
}

/** What is suspect in the tests. */
export const SUSPECT_PORT = 9
const SUSPECT = compileFilter(`udp dst port ${SUSPECT_PORT}`).optimized

/** The way of the service, and beside it a flood queue: a budget, a ring and a worker of its own. */
export const floodQueue = planWorkers<FloodQueueSettings>(
  import.meta.url,
  {
    front: {
      to: ['service', 'flood'],
      graph({ from, to, keep, space }, settings) {
        const { judge } = keep('suspect', () => placeMatcher(space, 'suspect', SUSPECT))
        return draw(
          [receive(from('main')), divide('suspect', judge), count('trusted'), send(to('service'))],
          ['suspect.matched', budget('flood budget', settings.budget), send(to('flood'))],
        )
      },
    },
    service: {
      to: ['main'],
      graph: ({ from, to }) => draw([receive(from('front')), count('service'), send(to('main'))]),
    },
    flood: {
      to: ['main'],
      graph: ({ from, to }, settings) => draw([receive(from('front')), toil(settings.toil), send(to('main'))]),
    },
  },
  ['front'],
)

/** A stage that is slow. */
function toil(numbers: number): Stage {
  return {
    name: 'toil',
    outputs: ['out'],
    drops: [],
    kind: 'toil',
    settings: { numbers },
    start: ({ space, reserve }) => {
      const sum = reserve('sum', 'counters', 8) / 8
      return {
        run() {
          for (let number = 0; number < numbers; number++) space.counters[sum]! += number
        },
      }
    },
  }
}
