import { type Device, startWorkers } from '../src/engine/index.js'
import { testDevice } from './support/device-suite.js'
import { relay } from './support/relay-worker.js'

const SLOTS = 256

for (const publish of ['bundle', 'packet'] as const) {
  testDevice(
    `workers-ring, published by ${publish}`,
    async ({ space, code, pool }) => {
      const options = { settings: undefined, slots: SLOTS, publish }
      const { to, from, close } = await startWorkers(relay, space, code, pool, options)
      return {
        device: join('device', to('there'), from('back')),
        peer: join('peer', to('back'), from('there')),
        close,
      }
    },
    { leastBytes: 1, mostBytes: 1710, mostUnread: SLOTS },
  )
}

/** The ends of two rings as one device; another thread has the other ends. */
function join(name: string, sender: Device, receiver: Device): Device {
  return {
    name,
    receive: receiver.receive,
    send: sender.send,
    flush: sender.flush,
    isReady: receiver.isReady,
    wait: receiver.wait,
    statistics() {
      const { sentPackets, sentBytes } = sender.statistics()
      return { ...receiver.statistics(), sentPackets, sentBytes }
    },
    close() {
      sender.close()
      receiver.close()
    },
  }
}
