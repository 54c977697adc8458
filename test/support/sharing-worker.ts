import { draw, planWorkers, receive, send } from '../../src/engine/index.js'
import { openProducer, openQueue, type SharedQueuePlace } from '../../src/transmit/index.js'

export interface SharingSettings {
  readonly shared: SharedQueuePlace
}

/** Two workers that send through the queue of a third. */
export const sharing = planWorkers<SharingSettings>(
  import.meta.url,
  {
    left: {
      graph: ({ from, space, code, keep }, { shared }) =>
        draw([receive(from('main')), send(keep('producer', () => openProducer(space, code, shared, 0)))]),
    },
    right: {
      graph: ({ from, space, code, keep }, { shared }) =>
        draw([receive(from('main')), send(keep('producer', () => openProducer(space, code, shared, 1)))]),
    },
    out: {
      to: ['main'],
      graph({ to, space, code, pool, keep }, { shared }) {
        const main = to('main')
        const queue = keep('queue', () => openQueue(space, code, pool, main, { shared }))
        // Nothing is received there: the queue's packets come from the other two.
        return draw([receive(queue), send(queue)])
      },
    },
  },
  ['left', 'right'],
)
