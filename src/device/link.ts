import { createRing, type Device, type Ring } from '../engine/index.js'
import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS, type Code, type Space, type WorkerPool } from '../memory/index.js'
import { openTraffic } from './traffic.js'

export interface LinkOptions {
  /** Packets that are under way in each direction at most, rounded up to a power of two; 1024 where it is not said. */
  readonly slots?: number
}

/**
 * Two devices in memory: what one sends, the other receives, without a copy.
 * A frame changes its owner with the ring's index. Where the ring is full, the
 * sender keeps what does not fit. What is in a ring when both ends are closed
 * goes back to the pool. Throws LayoutError.
 */
export function createLink(
  space: Space,
  code: Code,
  pool: WorkerPool,
  name: string,
  { slots = 1024 }: LinkOptions = {},
): readonly [Device, Device] {
  const ringTo = (end: string) => createRing(space, code, `link ${name} to ${end}`, slots)
  const rings = [ringTo('a'), ringTo('b')] as const
  const bundle = space.reserve({ name: `link ${name} bundle`, kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  let open = 2
  const closed = () => {
    if (--open > 0) return
    for (const ring of rings) {
      for (let count = ring.pull(bundle, slots); count > 0; count = ring.pull(bundle, slots)) {
        pool.give(bundle + BUNDLE_DESCRIPTORS, count)
        space.words[bundle / 4] = 0
      }
      ring.close()
    }
    space.free(`link ${name} bundle`)
  }
  const wakers: [() => void, () => void] = [() => {}, () => {}]
  const end = (side: 0 | 1, title: string): Device =>
    openEnd(space, code, `${name} ${title}`, rings[side], rings[1 - side]!, {
      onWait: (wake) => {
        wakers[side] = wake
      },
      wakePeer: () => wakers[1 - side]!(),
      closed,
    })
  return [end(0, 'a'), end(1, 'b')]
}

/** How the two ends of a link in one thread wake each other. */
interface Bell {
  onWait(wake: () => void): void
  wakePeer(): void
  closed(): void
}

function openEnd(space: Space, code: Code, name: string, incoming: Ring, outgoing: Ring, bell: Bell): Device {
  const traffic = openTraffic(space, `link end ${name}`, [])
  const { address } = traffic
  const [linkReceive, linkSend] = [code.find('linkReceive'), code.find('linkSend')]
  let isOpen = true
  let stopWaiting = () => {}
  return {
    name,
    receive: (bundle, most) => (isOpen ? (linkReceive(incoming.address, address, bundle, most) as number) : 0),
    send: (bundle) => (isOpen ? (linkSend(outgoing.address, address, bundle) as number) : 0),
    flush: bell.wakePeer,
    slots: outgoing.slots,
    pending: () => (isOpen ? outgoing.count() : 0),
    isReady: () => isOpen && incoming.count() > 0,
    wait(timeoutMs) {
      if (!isOpen || incoming.count() > 0) return Promise.resolve()
      // Who waits anew has been woken by something else; its earlier wait would keep a timer.
      stopWaiting()
      return new Promise((resolve) => {
        const timer = setTimeout(() => stopWaiting(), timeoutMs)
        stopWaiting = () => {
          clearTimeout(timer)
          stopWaiting = () => {}
          bell.onWait(() => {})
          resolve()
        }
        bell.onWait(stopWaiting)
      })
    },
    statistics: traffic.statistics,
    close() {
      if (!isOpen) return
      isOpen = false
      stopWaiting()
      traffic.close()
      bell.closed()
    },
  }
}
