import { type Device, draw, planWorkers, receive, send } from '../src/engine/index.js'
import type { Space } from '../src/memory/index.js'

export interface SlowLinkSettings {
  readonly bitsPerSecond: number
}

/** A worker that is a slow network card and its wire: the ring to it is the card's, packets leave it at the rate of the wire. */
export const slowLinkPlan = planWorkers<SlowLinkSettings>(
  import.meta.url,
  {
    card: {
      to: ['main'],
      graph: ({ space, from, to }, { bitsPerSecond }) =>
        draw([receive(paced(space, from('main'), bitsPerSecond)), send(to('main'))]),
    },
  },
  ['card'],
)

/** The device, whose packets come one by one, each when those before it have passed the wire. */
function paced({ words }: Space, device: Device, bitsPerSecond: number): Device {
  const msPerByte = 8000 / bitsPerSecond
  let freeAt = 0
  const isDue = () => performance.now() >= freeAt
  return {
    ...device,
    receive(bundle) {
      if (!isDue()) return 0
      const before = words[bundle >>> 2]!
      if (device.receive(bundle, 1) === 0) return 0
      const bytes = words[(bundle + WIRE + before * DESCRIPTOR_BYTES) >>> 2]!
      // Who was late by less than a packet makes up for it; a wire that had nothing to send does not.
      const now = performance.now()
      freeAt = Math.max(freeAt, now - MOST_LATE_MS) + bytes * msPerByte
      return 1
    },
    isReady: () => isDue() && device.isReady(),
    wait: (timeoutMs) => (device.isReady() ? new Promise(setImmediate) : device.wait(timeoutMs)),
  }
}

const DESCRIPTOR_BYTES = 16
/** Of a bundle: the length on the wire of its first packet. */
const WIRE = 20
const MOST_LATE_MS = 1
