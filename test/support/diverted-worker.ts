import { type NetworkDevice, openXdp } from '../../src/device/index.js'
import { draw, planWorkers, receive, send } from '../../src/engine/index.js'
import { divertInto, type LoadedMap } from '../../src/loader/index.js'
import { count, reflect } from '../../src/stages/index.js'
import { trap } from './trap.js'

export interface DivertedSettings {
  readonly device: NetworkDevice
  /** Where the policy at the device looks for sockets. */
  readonly sockets: LoadedMap
  readonly entries: number
}

/** One worker answers what a policy diverts at a device, from a socket of its own; the other has nothing to do with that. */
export const diverted = planWorkers<DivertedSettings>(
  import.meta.url,
  {
    near: {
      graph({ space, code, pool, keep }, { device, sockets, entries }) {
        const divert = (queue: number, fd: number | null) => divertInto(sockets, queue, fd)
        const [queue] = keep('device', () => openXdp(space, code, pool, device, { divert, entries })).queues
        return draw([receive(queue!), trap('trap'), count('taken'), reflect(), send(queue!)])
      },
    },
    other: {
      to: ['main'],
      graph: ({ from, to }) => draw([receive(from('main')), count('other'), send(to('main'))]),
    },
  },
  ['other'],
)
