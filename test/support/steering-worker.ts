import { draw, planWorkers, receive, type Stage, send } from '../../src/engine/index.js'
import { BUNDLE_DESCRIPTORS, DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES } from '../../src/memory/index.js'
import { count, steer } from '../../src/stages/index.js'

export interface SteeringSettings {
  /** Adds a stage behind the others. */
  readonly isLonger: boolean
}

/** What a packet of the tests does to the worker it comes to, by its last byte; all are 64 bytes long. */
export const DEED = { none: 0, throws: 1, hangs: 2 } as const
export const DEED_AT = 63

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

/** A stage with a fault: what a packet says, it does. */
function trap(name: string): Stage {
  return {
    name,
    outputs: ['out'],
    drops: [],
    kind: 'trap',
    settings: {},
    start: ({ space }) => ({
      run(bundle) {
        const packets = space.words[bundle / 4]!
        for (let index = 0; index < packets; index++) {
          const at = bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + DESCRIPTOR_ADDRESS
          const packet = space.words[at / 4]!
          const deed = space.bytes[packet + DEED_AT]
          if (deed === DEED.throws) {
            space.bytes[packet + DEED_AT] = DEED.none
            throw new Error(`${name} met a packet that it cannot bear`)
          }
          if (deed === DEED.hangs) for (;;) space.bytes[packet + DEED_AT] = DEED.none
        }
      },
    }),
  }
}
