import { openWake } from '../../src/engine/bell.js'
import { draw, planWorkers, receive, type Stage } from '../../src/engine/index.js'
import { discard } from '../../src/stages/index.js'

/** Where the worker's control area is; 0 while nobody knows. */
export interface RestlessSettings {
  readonly control: number
}

/**
 * A worker without packets that is woken in each of its rounds, after its stages
 * have looked at what they look at: as by another thread, just before it sleeps.
 */
export const restless = planWorkers<RestlessSettings>(
  import.meta.url,
  { sleeper: { graph: ({ from }, { control }) => draw([receive(from('main')), waking(control), discard('end')]) } },
  ['sleeper'],
)

function waking(control: number): Stage {
  return {
    name: 'waking',
    outputs: ['all'],
    drops: [],
    kind: 'waking',
    settings: { control },
    start({ space, code }) {
      const wake = control === 0 ? () => {} : openWake(space, code, control)
      return { run() {}, flush: wake }
    },
  }
}
