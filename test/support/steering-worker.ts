import { draw, planWorkers, receive, send } from '../../src/engine/index.js'
import { count, steer } from '../../src/stages/index.js'
import { trap } from './trap.js'

export interface SteeringSettings {
  /** Adds a stage behind the others. */
  readonly isLonger: boolean
}

/** Shares flows out to two workers, which send them back; in each a packet may end the worker. */
export const steering = planWorkers<SteeringSettings>(
  import.meta.url,
  {
    front: {
      to: ['left', 'right'],
      graph: ({ from, to }) =>
        draw(
          [receive(from('main')), trap('front trap'), steer('flows', 2), send(to('left'))],
          ['flows.1', send(to('right'))],
        ),
    },
    left: {
      to: ['main'],
      graph: ({ from, to }, { isLonger }) =>
        isLonger
          ? draw([receive(from('front')), trap('left trap'), count('left'), count('more'), send(to('main'))])
          : draw([receive(from('front')), trap('left trap'), count('left'), send(to('main'))]),
    },
    right: {
      to: ['main'],
      graph: ({ from, to }) => draw([receive(from('front')), trap('right trap'), count('right'), send(to('main'))]),
    },
  },
  ['front'],
)
