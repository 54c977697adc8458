import {
  KernelError,
  type KernelNeighbour,
  type Link,
  listNeighbours,
  type NetlinkSocket,
  type RouteChange,
  useNeighbour,
} from '../../kernel/index.js'
import { neighbourKey } from './adjacencies.js'

/** Neighbours that packets are forwarded to behind the kernel's back, which does not see them used. */
export interface NeighbourWatch {
  /** Whether who answers to an address has changed, or may have: null are changes that were lost. */
  heard(changes: readonly RouteChange[] | null): boolean
  /** Asks again for some of those of whom the kernel is no longer sure. */
  refresh(): void
}

const MOST_REFRESHED = 16

/** Begins with what the kernel knows at those devices. */
export function watchNeighbours(netlink: NetlinkSocket, links: readonly Link[]): NeighbourWatch {
  const known = new Map<string, KernelNeighbour>()
  let refreshed = 0
  const isOurs = ({ index }: KernelNeighbour) => links.some((link) => link.index === index)
  const list = () => {
    known.clear()
    for (const neighbour of listNeighbours(netlink))
      if (isOurs(neighbour)) known.set(neighbourKey(neighbour), neighbour)
  }
  list()
  return {
    heard(changes) {
      if (changes === null) {
        list()
        return true
      }
      let hasChanged = false
      for (const change of changes) {
        if (change.what !== 'neighbour' || !isOurs(change.neighbour)) continue
        const key = neighbourKey(change.neighbour)
        const before = known.get(key)?.mac ?? null
        const after = change.isGone ? null : change.neighbour.mac
        if (change.isGone) known.delete(key)
        else known.set(key, change.neighbour)
        // One that becomes known changes nothing: no flow leads to it yet.
        if (before !== null && (after === null || !before.every((byte, at) => byte === after[at]))) hasChanged = true
      }
      return hasChanged
    },
    refresh() {
      const stale = [...known.values()].filter(({ state }) => state === 'stale')
      // In turn: the kernel says nothing for seconds of one that it has begun to ask.
      for (let left = Math.min(MOST_REFRESHED, stale.length); left > 0; left--) {
        const { index, address } = stale[refreshed++ % stale.length]!
        try {
          useNeighbour(netlink, index, address)
        } catch (error) {
          // The device is down or has gone: its neighbours go as well.
          if (!(error instanceof KernelError)) throw error
        }
      }
    },
  }
}
