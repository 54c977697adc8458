import { placeMatcher } from '../../src/codegen/index.js'
import { compileFilter } from '../../src/compile.js'
import { draw, planWorkers, receive, send } from '../../src/engine/index.js'
import { count, discard, divide } from '../../src/stages/index.js'

/** The name of the stage that the second worker begins with. */
export interface ServedSettings {
  readonly tells: string
}

/** Two workers with a ring between: the first counts, the second tells one flow from the rest. */
export const served = planWorkers<ServedSettings>(
  import.meta.url,
  {
    front: {
      to: ['back'],
      graph: ({ from, to }) => draw([receive(from('main')), count('seen'), send(to('back'))]),
    },
    back: {
      graph({ from, keep, space }, { tells }) {
        const flow = keep('flow', () => placeMatcher(space, 'flow', compileFilter('udp src port 4001').optimized))
        return draw(
          [receive(from('front')), divide(tells, flow.judge), count('rest'), discard('done')],
          [`${tells}.matched`, discard('unwanted', 'not wanted')],
        )
      },
    },
  },
  ['front'],
)
