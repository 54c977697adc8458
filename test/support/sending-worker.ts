import { type NetworkDevice, openXdp } from '../../src/device/index.js'
import { draw, planWorkers, receive, send } from '../../src/engine/index.js'

export interface SendingSettings {
  readonly device: NetworkDevice
  readonly entries: number
}

/** One worker sends what it is handed to a device, from an AF_XDP socket of its own. */
export const sending = planWorkers<SendingSettings>(
  import.meta.url,
  {
    sender: {
      graph({ space, code, pool, keep, from }, { device, entries }) {
        const [queue] = keep('device', () => openXdp(space, code, pool, device, { divert() {}, entries })).queues
        return draw([receive(from('main')), send(queue!)])
      },
    },
  },
  ['sender'],
)
