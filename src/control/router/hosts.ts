import type { KernelNeighbour } from '../../kernel/index.js'
import type { Prefix, Routes } from '../../route/index.js'
import { type Adjacencies, neighbourKey, type PortOf } from './adjacencies.js'

/**
 * Neighbours, and a route in the tables to each that a network on the link
 * leads to: what that network's own route says is only where to ask.
 */
export interface Hosts {
  /** Null where nobody knows it. */
  macOf(index: number, address: Uint8Array): Uint8Array | null
  changed(neighbour: KernelNeighbour, isGone: boolean): void
  /** All there are; what is not among them has gone. */
  replace(neighbours: readonly KernelNeighbour[]): void
  /** A route of this prefix has changed, and with it perhaps who leads to the hosts in it. */
  routeChanged(prefix: Prefix): void
  /** Neighbours of which the kernel is no longer sure. */
  stale(): readonly KernelNeighbour[]
  count(): number
}

/** `hopAbove` gives the next hop of the longest prefix that holds an address and is no single host's; undefined for none. */
export function openHosts(
  tables: Routes,
  adjacencies: Adjacencies,
  portOf: PortOf,
  hopAbove: (address: Uint8Array) => number | undefined,
  hasOwnRoute: (address: Uint8Array) => boolean,
): Hosts {
  const neighbours = new Map<string, KernelNeighbour>()
  /** The same by the first two bytes of their addresses: most routes are of networks in which no neighbour is. */
  const blocks = new Map<number, Map<string, KernelNeighbour>>()
  /** Next hops of the hosts that have a route, and the MTU that it has of its network's. */
  const routes = new Map<string, { readonly hop: number; readonly mtu: number }>()

  /** Gives it a route, or takes it away; as it should be now. */
  function settle(key: string, neighbour: KernelNeighbour): void {
    const { index, address } = neighbour
    const before = routes.get(key)
    const mtu = wantedMtu(neighbour)
    if (mtu === null) {
      if (before === undefined) return
      routes.delete(key)
      // The prefix may be a route of the kernel's own by now.
      if (!hasOwnRoute(address) && !leadElsewhere(address)) tables.remove({ address, length: address.length * 8 })
      adjacencies.give(before.hop)
      return
    }
    if (before?.mtu === mtu) return
    const hop = adjacencies.takeHost(index, address, mtu)
    if (tables.insert({ address, length: address.length * 8 }, hop) === null) {
      routes.set(key, { hop, mtu })
      if (before !== undefined) adjacencies.give(before.hop)
    } else adjacencies.give(hop)
  }

  /** Whether the host is known on another link of its network's route, and the route leads there now. */
  function leadElsewhere(address: Uint8Array): boolean {
    for (const [key, other] of blocks.get(blockOf(address)) ?? []) {
      const hop = routes.get(key)?.hop
      if (hop === undefined || Buffer.compare(other.address, address) !== 0) continue
      if (tables.insert({ address, length: address.length * 8 }, hop) === null) return true
    }
    return false
  }

  /** The MTU of the host's network, where it is to have a route; else null. */
  function wantedMtu({ index, address, mac }: KernelNeighbour): number | null {
    if (mac === null || portOf(index) === undefined || isLinkLocal(address) || hasOwnRoute(address)) return null
    const above = hopAbove(address)
    return above === undefined ? null : adjacencies.linkMtu(above, index)
  }

  function change(neighbour: KernelNeighbour, isGone: boolean): void {
    const key = neighbourKey(neighbour)
    const known = isGone ? { ...neighbour, mac: null } : neighbour
    if (isGone) forget(key, known)
    else remember(key, known)
    settle(key, known)
    adjacencies.resolve(known.index, known.address, known.mac)
  }

  function remember(key: string, neighbour: KernelNeighbour): void {
    const block = blocks.get(blockOf(neighbour.address)) ?? new Map()
    neighbours.set(key, neighbour)
    blocks.set(blockOf(neighbour.address), block.set(key, neighbour))
  }

  function forget(key: string, { address }: KernelNeighbour): void {
    const block = blocks.get(blockOf(address))
    neighbours.delete(key)
    if (block?.delete(key) && block.size === 0) blocks.delete(blockOf(address))
  }

  return {
    macOf: (index, address) => neighbours.get(neighbourKey({ index, address }))?.mac ?? null,
    changed: change,
    replace(list) {
      const there = new Set(list.map(neighbourKey))
      for (const [key, neighbour] of neighbours) if (!there.has(key)) change(neighbour, true)
      for (const neighbour of list) change(neighbour, false)
    },
    routeChanged(prefix) {
      const within = prefix.length < BLOCK_BITS ? neighbours : blocks.get(blockOf(prefix.address))
      for (const [key, neighbour] of within ?? []) if (holds(prefix, neighbour.address)) settle(key, neighbour)
    },
    stale: () =>
      [...neighbours.values()].filter(({ index, state }) => state === 'stale' && portOf(index) !== undefined),
    count: () => routes.size,
  }
}

const BLOCK_BITS = 16

/** The first two bytes of an address, with its family. */
function blockOf(address: Uint8Array): number {
  return (address.length << 16) | (address[0]! << 8) | address[1]!
}

/** fe80::/10: packets to these stay on their link (RFC 4291, 2.5.6). */
export function isLinkLocal(address: Uint8Array): boolean {
  return address.length === 16 && address[0] === 0xfe && (address[1]! & 0xc0) === 0x80
}

/** Whether an address is in a prefix, whose bits behind its length are 0. */
function holds({ address: prefix, length }: Prefix, address: Uint8Array): boolean {
  if (prefix.length !== address.length) return false
  const whole = length >> 3
  for (let at = 0; at < whole; at++) if (prefix[at] !== address[at]) return false
  const mask = 0xff00 >> (length & 7)
  return (length & 7) === 0 || (address[whole]! & mask & 0xff) === prefix[whole]
}
