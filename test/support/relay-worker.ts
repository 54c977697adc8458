import { draw, planWorkers, receive, send } from '../../src/engine/index.js'

/** Two workers that hand on what comes, one for each direction. */
export const relay = planWorkers(
  import.meta.url,
  {
    there: { to: ['main'], graph: ({ from, to }) => draw([receive(from('main')), send(to('main'))]) },
    back: { to: ['main'], graph: ({ from, to }) => draw([receive(from('main')), send(to('main'))]) },
  },
  ['there', 'back'],
)
