import { draw, planWorkers, receive, type Stage } from '../src/engine/index.js'

/** A worker that takes packets out of a ring and leaves their frames to who has sent them. */
export const publishPlan = planWorkers(
  import.meta.url,
  { sink: { graph: ({ from }) => draw([receive(from('main')), forget()]) } },
  ['sink'],
)

function forget(): Stage {
  return {
    name: 'sink',
    outputs: [],
    drops: [],
    kind: 'forget',
    settings: {},
    start: ({ space }) => ({
      run(bundle) {
        space.words[bundle >>> 2] = 0
      },
    }),
  }
}
