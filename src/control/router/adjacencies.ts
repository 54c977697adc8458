import type { KernelRoute, RouteHop } from '../../kernel/index.js'
import type { NextHop, Routes } from '../../route/index.js'

/** A port of the tables, by the index of its device. */
export type PortOf = (index: number) => number | undefined

/**
 * Next hops of the tables, made when a route first needs them and removed after
 * the last: one for each gateway on a device, one for each device whose network
 * is on the link, one for each set of ways.
 */
export interface Adjacencies {
  /** Counts one use more of the hop that a route leads to; gives its number. Throws RangeError where there is no room. */
  take(route: KernelRoute): number
  /** As a route to a single host on the link, whose hardware address is known or not; `mtu` is its network's, 0 for the port's. */
  takeHost(index: number, address: Uint8Array, mtu: number): number
  /** Ends one use. */
  give(id: number): void
  /** What a neighbour answers to has changed; null: nobody knows. Whether it is in use. */
  resolve(index: number, address: Uint8Array, mac: Uint8Array | null): boolean
  /** Whose hardware address a packet to `address` waits for; null where the hop is not there any more, or leads to nobody. */
  awaited(id: number, address: Uint8Array): Neighbour | null
  /**
   * The MTU of the route (0: the port's) where packets by this hop, or by one that a group holds, wait for the address
   * of their own destination: the device's network is on the link. Null where they do not.
   */
  linkMtu(id: number, index: number): number | null
  /** Whether this hop hands packets to the kernel. */
  isKernels(id: number): boolean
  /** Neighbours in use whose hardware address is not known. */
  unresolved(): readonly Neighbour[]
}

export interface Neighbour {
  readonly index: number
  readonly address: Uint8Array
}

interface Entry {
  readonly id: number
  readonly key: string
  uses: number
  /** Hops that a group holds. */
  readonly members: readonly number[]
  readonly neighbour: (Neighbour & { readonly port: number; readonly mtu: number }) | null
  /** The device whose network is on the link; 0 for another hop. */
  readonly link: number
  /** Of a network on the link. */
  readonly mtu: number
}

/** `macOf` is asked for what is known already of a neighbour that a route leads to. */
export function openAdjacencies(
  tables: Routes,
  portOf: PortOf,
  macOf: (index: number, address: Uint8Array) => Uint8Array | null,
): Adjacencies {
  const byKey = new Map<string, Entry>()
  const byId = new Map<number, Entry>()
  /** Keys of the entries that a neighbour's hardware address stands in: one for each MTU. */
  const byNeighbour = new Map<string, Set<Entry>>()

  function use(key: string, make: () => Pick<Entry, 'id'> & Partial<Entry>): number {
    let entry = byKey.get(key)
    if (entry === undefined) {
      entry = { members: [], neighbour: null, link: 0, mtu: 0, ...make(), key, uses: 0 }
      byKey.set(key, entry)
      byId.set(entry.id, entry)
      if (entry.neighbour !== null) {
        const of = neighbourKey(entry.neighbour)
        byNeighbour.set(of, (byNeighbour.get(of) ?? new Set()).add(entry))
      }
    }
    entry.uses++
    return entry.id
  }

  const plain = (kind: 'local' | 'blackhole' | 'unreachable' | 'prohibit') =>
    use(kind, () => ({ id: tables.addNextHop({ kind }) }))

  /** Whether a way is the router's, and not by a device that is none of its own, or in a tunnel. */
  const isOurs = ({ index, isTunnel }: RouteHop) => portOf(index) !== undefined && !isTunnel

  function takeHop({ gateway, index }: RouteHop, mtuBytes: number): number {
    const port = portOf(index)!
    if (gateway !== null) return takeNeighbour({ index, address: gateway }, port, mtuBytes)
    return use(`link ${index} ${mtuBytes}`, () => ({
      id: tables.addNextHop(asHop(port, mtuBytes, null)),
      link: index,
      mtu: mtuBytes,
    }))
  }

  function takeNeighbour({ index, address }: Neighbour, port: number, mtu: number): number {
    const neighbour = { index, address: Uint8Array.from(address), port, mtu }
    return use(`${neighbourKey(neighbour)} ${mtu}`, () => ({
      id: tables.addNextHop(asHop(port, mtu, macOf(index, address))),
      neighbour,
    }))
  }

  function take({ type, hops, mtuBytes }: KernelRoute): number {
    if (type === 'blackhole' || type === 'unreachable' || type === 'prohibit') return plain(type)
    if (type !== 'unicast') return plain('local')
    const alive = hops.filter(({ isDead }) => !isDead)
    // Flows are shared out by whoever forwards all of them.
    if (!alive.every(isOurs)) return plain('local')
    const ids: number[] = []
    try {
      for (const hop of alive) ids.push(takeHop(hop, mtuBytes))
      if (ids.length === 1) return ids[0]!
      return takeGroup(ids.map((hop, at) => ({ hop, weight: alive[at]!.weight })))
    } catch (error) {
      for (const id of ids) give(id)
      throw error
    }
  }

  /** Takes over one use of each member. */
  function takeGroup(members: readonly { readonly hop: number; readonly weight: number }[]): number {
    const key = `group ${members.map(({ hop, weight }) => `${hop}*${weight}`).join()}`
    const ids = members.map(({ hop }) => hop)
    const isThere = byKey.has(key)
    const id = use(key, () => ({ id: tables.addNextHop({ kind: 'group', members }), members: ids }))
    // A group that is there already has its own hold on its members.
    if (isThere) for (const member of ids) give(member)
    return id
  }

  function give(id: number): void {
    const entry = byId.get(id)
    if (entry === undefined || --entry.uses > 0) return
    byKey.delete(entry.key)
    byId.delete(id)
    if (entry.neighbour !== null) forget(neighbourKey(entry.neighbour), entry)
    tables.removeNextHop(id)
    for (const member of entry.members) give(member)
  }

  /** Nothing stays of a neighbour that no hop leads to: whoever is on a link may have another address each time. */
  function forget(neighbour: string, entry: Entry): void {
    const entries = byNeighbour.get(neighbour)
    if (entries?.delete(entry) && entries.size === 0) byNeighbour.delete(neighbour)
  }

  function linkMtu(id: number, index: number): number | null {
    const entry = byId.get(id)
    if (entry === undefined) return null
    if (entry.link === index) return entry.mtu
    for (const member of entry.members) {
      const mtu = linkMtu(member, index)
      if (mtu !== null) return mtu
    }
    return null
  }

  return {
    take,
    takeHost(index, address, mtu) {
      return takeNeighbour({ index, address }, portOf(index)!, mtu)
    },
    give,
    resolve(index, address, mac) {
      const entries = byNeighbour.get(neighbourKey({ index, address }))
      if (entries === undefined) return false
      for (const { id, neighbour } of entries) tables.changeNextHop(id, asHop(neighbour!.port, neighbour!.mtu, mac))
      return true
    },
    awaited(id, address) {
      const { neighbour = null, link = 0 } = byId.get(id) ?? {}
      return neighbour ?? (link === 0 ? null : { index: link, address })
    },
    linkMtu,
    isKernels: (id) => byId.get(id)?.key === 'local',
    unresolved: () =>
      [...byId.values()].flatMap(({ neighbour }) =>
        neighbour !== null && macOf(neighbour.index, neighbour.address) === null ? [neighbour] : [],
      ),
  }
}

function asHop(port: number, mtu: number, mac: Uint8Array | null): NextHop {
  const limit = mtu === 0 ? {} : { mtu }
  return mac === null ? { kind: 'unresolved', port, ...limit } : { kind: 'forward', port, mac, ...limit }
}

/** Of a neighbour, as text. */
export function neighbourKey({ index, address }: Neighbour): string {
  return `${index} ${Buffer.from(address.buffer, address.byteOffset, address.byteLength).toString('latin1')}`
}
