import { draw, planWorkers, receive } from '../src/engine/index.js'
import { discard } from '../src/stages/index.js'

/** Two workers that sleep unless they have packets, and give the frames of those back. */
export const bulkPlan = planWorkers(
  import.meta.url,
  {
    left: { graph: ({ from }) => draw([receive(from('main')), discard('arrived')]) },
    right: { graph: ({ from }) => draw([receive(from('main')), discard('arrived')]) },
  },
  ['left', 'right'],
)
