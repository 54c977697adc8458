import {
  type Code,
  type Space,
  TRAFFIC_BYTES,
  TRAFFIC_RECEIVED_BYTES,
  TRAFFIC_RECEIVED_PACKETS,
  TRAFFIC_SENT_BYTES,
  TRAFFIC_SENT_PACKETS,
  type WorkerPool,
} from '../memory/index.js'
import type { Bell } from './bell.js'
import type { Device } from './device.js'
import type { Ring } from './ring.js'

/** `bundle`: the consumer sees the packets of a bundle at once; `packet`: one by one, for comparison. */
export type Publish = 'bundle' | 'packet'

/** The end that sends into a ring to another worker, and rings its bell once a round. */
export function openSender(
  space: Space,
  code: Code,
  name: string,
  ring: Ring,
  bell: Bell,
  publish: Publish = 'bundle',
): Device {
  const send = code.find(publish === 'bundle' ? 'ringSend' : 'ringSendEach')
  let hasSent = false
  return openEnd(space, name, (traffic, isOpen) => ({
    receive: () => 0,
    send(bundle) {
      const sent = isOpen() ? (send(ring.address, traffic, bundle) as number) : 0
      if (sent > 0) hasSent = true
      return sent
    },
    flush() {
      if (hasSent) bell.ring()
      hasSent = false
    },
    slots: ring.slots,
    pending: () => (isOpen() ? ring.count() : 0),
    isReady: () => false,
    wait: (timeoutMs) => new Promise((resolve) => setTimeout(resolve, timeoutMs)),
  }))
}

/** The end that receives what another worker has sent into a ring; `bell` is that of its own worker. */
export function openReceiver(space: Space, code: Code, pool: WorkerPool, name: string, ring: Ring, bell: Bell): Device {
  const receive = code.find('ringReceive')
  return openEnd(
    space,
    name,
    (traffic, isOpen) => {
      const isReady = () => isOpen() && ring.count() > 0
      return {
        receive: (bundle, most) =>
          isOpen() ? (receive(ring.address, traffic, pool.address, bundle, most) as number) : 0,
        send: () => 0,
        flush() {},
        isReady,
        wait: (timeoutMs) => bell.wait(() => !isOpen() || isReady(), timeoutMs),
        ...(bell.descriptor === undefined ? {} : { descriptor: bell.descriptor, poll: bell.poll }),
      }
    },
    bell.ring,
  )
}

/** What both ends have: counters, and what is left of them when they are closed. What lies in the ring stays there. */
function openEnd(
  space: Space,
  name: string,
  open: (traffic: number, isOpen: () => boolean) => Omit<Device, 'name' | 'statistics' | 'close'>,
  closed = () => {},
): Device {
  const region = space.reserve({ name: `ring end ${name}`, kind: 'counters', bytes: TRAFFIC_BYTES })
  const count = (field: number) => space.counters[(region.offset + field) / 8]!
  const statistics = () => ({
    receivedPackets: count(TRAFFIC_RECEIVED_PACKETS),
    receivedBytes: count(TRAFFIC_RECEIVED_BYTES),
    sentPackets: count(TRAFFIC_SENT_PACKETS),
    sentBytes: count(TRAFFIC_SENT_BYTES),
    copiedPackets: 0,
    drops: {},
  })
  let isOpen = true
  let last = statistics()
  return {
    name,
    ...open(region.offset, () => isOpen),
    statistics: () => (isOpen ? statistics() : last),
    close() {
      if (!isOpen) return
      last = statistics()
      isOpen = false
      space.free(region.name)
      closed()
    },
  }
}
