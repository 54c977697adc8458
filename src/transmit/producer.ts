import { type Device, openBell } from '../engine/index.js'
import { BUNDLE_DESCRIPTORS, type Code, DESCRIPTOR_BYTES, DESCRIPTOR_WIRE, type Space } from '../memory/index.js'
import { SHARED_BELL } from './formats.js'
import { attachProducer, type SharedQueuePlace } from './shared-queue.js'

/**
 * The way of another worker to a queue that was opened over a shared queue: what
 * is sent goes there, and `flush` wakes the queue's worker once a round. Throws
 * where the shared queue has no such producer. Closing leaves what was sent.
 */
export function openProducer(space: Space, code: Code, place: SharedQueuePlace, number: number): Device {
  const { words } = space
  const { push } = attachProducer(space, code, place, number)
  const bell = openBell(space, code, place.address + SHARED_BELL)
  let [isOpen, hasSent, sentPackets, sentBytes] = [true, false, 0, 0]

  function bytesOf(bundle: number): number {
    let sum = 0
    const first = bundle + BUNDLE_DESCRIPTORS + DESCRIPTOR_WIRE
    for (let index = 0; index < words[bundle >>> 2]!; index++) sum += words[(first + index * DESCRIPTOR_BYTES) >>> 2]!
    return sum
  }

  return {
    name: `producer ${number}`,
    receive: () => 0,
    send(bundle) {
      if (!isOpen) return 0
      const before = bytesOf(bundle)
      const sent = push(bundle)
      sentPackets += sent
      sentBytes += before - bytesOf(bundle)
      hasSent ||= sent > 0
      return sent
    },
    flush() {
      if (hasSent) bell.ring()
      hasSent = false
    },
    isReady: () => false,
    wait: (timeoutMs) => new Promise((resolve) => setTimeout(resolve, timeoutMs)),
    statistics: () => ({
      receivedPackets: 0,
      receivedBytes: 0,
      sentPackets,
      sentBytes,
      copiedPackets: 0,
      drops: {},
    }),
    close() {
      isOpen = false
    },
  }
}
