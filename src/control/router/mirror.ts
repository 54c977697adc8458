import {
  closeNetlink,
  KernelError,
  type KernelRoute,
  listAddresses,
  listLinks,
  listNeighbours,
  listRoutes,
  listRuleTables,
  type NetlinkSocket,
  type NetworkNamespace,
  openRoute,
  openRouteMonitor,
  parseMac,
  type RouteChange,
  readSysctl,
  useNeighbour,
} from '../../kernel/index.js'
import { openShare, PORT_MOST_V4, PORT_MOST_V6, type Port, type Prefix, type Routes } from '../../route/index.js'
import { neighbourKey, openAdjacencies } from './adjacencies.js'
import { isLinkLocal, openHosts } from './hosts.js'
import { openKernelShare } from './kernel-share.js'
import { openRouteBook, prefixKey, type RouteBook } from './route-book.js'

/** What of the kernel is mirrored, and where to. */
export interface MirrorOptions {
  readonly tables: Routes
  /** Index of the kernel's device behind each port. */
  readonly ports: readonly number[]
  /** The namespace whose routes these are; the thread's own where it is not said. */
  readonly namespace?: NetworkNamespace
  /** Of each port, beside what the kernel says of its device. */
  readonly settings?: Pick<Port, 'reversePath'>
  /** Hears of all addresses that the namespace's devices have, whenever one has changed. */
  readonly own?: (addresses: readonly Uint8Array[]) => void
  /**
   * Hears of the fewest prefixes that hold what the kernel alone routes, by a
   * device that is no port or in a tunnel, and the machine's own addresses; at
   * once, and when they have changed.
   */
  readonly kernels?: (prefixes: readonly Prefix[]) => void
  /** Hears of the Ethernet address of each port's device, whenever a device has changed. */
  readonly hardware?: (port: number, mac: string) => void
  /** Is called before everything is listed anew, which may take seconds. */
  readonly listing?: () => void
  /** Is called after each change of the tables. */
  readonly changed?: () => void
  /** Hears of the first route that the tables have no room for, in one sentence; all are counted. */
  readonly warn: (sentence: string) => void
}

/** The kernel's routes, neighbours and addresses, kept the same in the tables while they change. */
export interface Mirror {
  /**
   * A packet to `address` waits because next hop `hop` is unresolved: the kernel
   * asks the network, and what it learns comes into the tables. Asking again
   * within a second does nothing.
   */
  ask(hop: number, address: Uint8Array, sender: number): void
  statistics(): MirrorStatistics
  close(): void
}

export interface MirrorStatistics {
  /** Prefixes with a route in the tables, without hosts on the link. */
  readonly routes: number
  /** Hosts on the link whose hardware address is known. */
  readonly hosts: number
  readonly changes: number
  /** How often everything was listed, the first time included. */
  readonly listed: number
  /** Routes that the tables had no room for. */
  readonly refused: number
}

/** Changes that are taken at once, so that packets of the same thread have their turn. */
const MOST_AT_ONCE = 512
/** Neighbours that are no longer sure are asked again, so many at most each second. */
const MOST_REFRESHED = 16
const SECOND_MS = 1000
/** Routes that are tried again in a second, and those that have no room still. */
const MOST_TRIED_AGAIN = 4096
const MOST_REFUSED_AGAIN = 16
/**
 * Addresses that are asked for in a second because of packets, at most: whoever sends to all of a network has the kernel
 * ask for no more, and for half of that if nobody else does. One that does not answer stays in the kernel's table of its
 * family for three seconds, and by default there is room for 1,024 (gc_thresh3), without which nobody is asked for.
 */
const MOST_ASKED = 320
/** IFF_UP, IFF_RUNNING and IFF_LOWER_UP of linux/if.h. */
const CARRIES = 0x1 | 0x40 | 0x10000
/** RT_TABLE_DEFAULT, MAIN and LOCAL of linux/rtnetlink.h. */
const USUAL_TABLES: ReadonlySet<number> = new Set([253, 254, 255])

/**
 * Copies what the kernel knows into the tables, then follows each change. The
 * kernel stays the control plane: whatever daemon speaks to it is heard.
 * Throws a KernelError without a namespace that can be read.
 */
export function mirrorKernel(options: MirrorOptions): Mirror {
  const { namespace } = options
  const netlink = openRoute(namespace)
  // First the changes, then the lists: what is in both is known already the second time.
  const monitor = openRouteMonitor(namespace)
  const copy = openCopy(options, netlink)
  copy.list()
  const rules = listRuleTables(netlink).filter((table) => !USUAL_TABLES.has(table)).length
  if (rules > 0)
    options.warn(
      `the kernel has ${rules} more ${rules === 1 ? 'rule' : 'rules'} than usual (ip rule, ip vrf), which the router does not know of: it forwards by the tables local and main alone`,
    )
  if (readSysctl(namespace, 'ipv4/nexthop_compat_mode') === 0)
    options.warn(
      'net.ipv4.nexthop_compat_mode is 0, so the kernel does not tell where routes by next hop objects lead: packets by them are dropped; set it to 1 before the router starts',
    )
  const watch = monitor.watch(() => {
    copy.apply(monitor.take(MOST_AT_ONCE))
    options.changed?.()
  })
  const timer = setInterval(() => {
    if (copy.refresh()) options.changed?.()
  }, SECOND_MS)
  timer.unref()
  return {
    ask: copy.ask,
    statistics: copy.statistics,
    close() {
      clearInterval(timer)
      watch.close()
      monitor.close()
      closeNetlink(netlink)
    },
  }
}

interface Installed {
  readonly prefix: Prefix
  readonly hop: number
}

function openCopy(
  { tables, ports, settings, own, kernels, hardware, listing, warn }: MirrorOptions,
  netlink: NetlinkSocket,
) {
  let book = openRouteBook()
  const portByIndex = new Map(ports.map((index, port) => [index, port]))
  const portOf = (index: number) => portByIndex.get(index)
  const installed = new Map<string, Installed>()
  /** Prefixes that have a route which the tables had no room for. */
  const homeless = new Set<string>()
  const adjacencies = openAdjacencies(tables, portOf, (index, address) => hosts.macOf(index, address))
  const hosts = openHosts(tables, adjacencies, portOf, hopAbove, (address) =>
    installed.has(prefixKey({ destination: address, lengthBits: address.length * 8 })),
  )
  const theirs = openKernelShare(kernels, warn)
  /** When each was asked for and by whom, the oldest first; by nobody where it was not because of a packet. */
  const asked = new Map<string, { readonly at: number; readonly sender: number | null }>()
  const asks = openShare(MOST_ASKED)
  let [devices, ownAddresses]: [ReadonlyMap<number, number>, string] = [new Map(), '']
  let [listedAt, isOutdated, refreshed] = [0, false, 0]
  let [changes, listed, refused] = [0, 0, 0]

  function hopAbove(address: Uint8Array): number | undefined {
    const destination = Uint8Array.from(address)
    for (let lengthBits = address.length * 8 - 1; lengthBits >= 0; lengthBits--) {
      destination[lengthBits >> 3]! &= 0xff << (8 - (lengthBits & 7))
      const found = installed.get(prefixKey({ destination, lengthBits }))
      if (found !== undefined) return found.hop
    }
    return undefined
  }

  /** Brings one prefix of the tables to what the book says. */
  function settle(key: string): void {
    const [best, before] = [book.best(key), installed.get(key)]
    if (best === undefined) homeless.delete(key)
    if (best === undefined ? !drop(key, before) : !put(key, best, before)) return
    hosts.routeChanged((installed.get(key) ?? before)!.prefix)
    if (before !== undefined) adjacencies.give(before.hop)
  }

  function drop(key: string, before: Installed | undefined): boolean {
    if (before === undefined) return false
    installed.delete(key)
    theirs.changed(key, before.prefix, false)
    tables.remove(before.prefix)
    return true
  }

  function put(key: string, route: KernelRoute, before: Installed | undefined): boolean {
    const prefix = { address: route.destination, length: route.lengthBits }
    const hop = takeHop(route)
    const refusal = typeof hop === 'string' ? hop : hop === before?.hop ? null : tables.insert(prefix, hop)
    if (refusal === null) {
      installed.set(key, { prefix, hop: hop as number })
      if (hop !== before?.hop) theirs.changed(key, prefix, adjacencies.isKernels(hop as number))
      homeless.delete(key)
      return true
    }
    if (!homeless.has(key) && refused++ === 0) warn(refusal)
    homeless.add(key)
    if (typeof hop === 'number') adjacencies.give(hop)
    // Better no answer than one that the kernel has taken back.
    return drop(key, before)
  }

  /** Tries those that were refused, in turn, until a few are refused again. Whether one has a place now. */
  function house(): boolean {
    const before = homeless.size
    let [tries, left] = [Math.min(before, MOST_TRIED_AGAIN), MOST_REFUSED_AGAIN]
    for (const key of homeless) {
      if (tries-- === 0) break
      // The last in the order now, so that the others are tried the next time.
      homeless.delete(key)
      homeless.add(key)
      settle(key)
      if (homeless.has(key) && --left === 0) break
    }
    return homeless.size < before
  }

  function takeHop(route: KernelRoute): number | string {
    try {
      return adjacencies.take(route)
    } catch (error) {
      if (error instanceof RangeError) return error.message
      throw error
    }
  }

  /** Whether a device has gone, or come up or gone down since the last time: with it routes of which the kernel tells nothing. */
  function readPorts(): boolean {
    const addresses = listAddresses(netlink)
    const links = listLinks(netlink)
    const before = [devices, ownAddresses] as const
    devices = new Map(links.map(({ index, flags }) => [index, flags & CARRIES]))
    ownAddresses = addresses.map(({ address }) => address.join()).join(' ')
    if (ownAddresses !== before[1]) own?.(addresses.map(({ address }) => address))
    for (const { index, mac, mtuBytes } of links) {
      const port = portOf(index)
      if (port === undefined) continue
      hardware?.(port, mac)
      const ofPort = addresses.filter((each) => each.index === index).map(({ address }) => address)
      // ICMP errors come from the first, so from one that others than the link's own can answer to.
      const v6 = ofPort.filter(({ length }) => length === 16).sort((a, b) => +isLinkLocal(a) - +isLinkLocal(b))
      tables.setPort(port, {
        mac: parseMac(mac),
        mtu: mtuBytes,
        v4: ofPort.filter(({ length }) => length === 4).slice(0, PORT_MOST_V4),
        v6: v6.slice(0, PORT_MOST_V6),
        interfaceIndex: index,
        ...settings,
      })
    }
    return [...before[0]].some(([index, flags]) => devices.get(index) !== flags)
  }

  /** Everything anew: the kernel does not tell of the routes that go with a device or an address of its own. */
  function list(): void {
    listed++
    listedAt = performance.now()
    isOutdated = false
    listing?.()
    readPorts()
    const before = book
    book = openRouteBook()
    for (const route of listRoutes(netlink)) if (!isLinkLocal(route.destination)) book.add(route, 'last')
    for (const key of keysOf(before, book)) settle(key)
    hosts.replace(listNeighbours(netlink))
    theirs.tell(installed)
  }

  function note(change: RouteChange): void {
    if (change.what === 'neighbour') {
      hosts.changed(change.neighbour, change.isGone)
      // Whoever asked before it was forgotten has no answer to wait for.
      if (change.isGone) forgetAsk(neighbourKey(change.neighbour))
    }
    if (change.what === 'next hop') noteNextHop(change.id, change.isGone)
    if (change.what !== 'route' || isLinkLocal(change.route.destination)) return
    const { route, isGone, place } = change
    if (isGone ? book.remove(route) : book.add(route, place)) settle(prefixKey(route))
  }

  /** Routes go with their next hop untold. One that has changed is found out by a list, once in a second at most. */
  function noteNextHop(id: number, isGone: boolean): void {
    if (!book.usesNextHop(id)) return
    if (isGone) for (const key of book.removeNextHop(id)) settle(key)
    else isOutdated = true
  }

  return {
    list,
    /** Null: some were lost. */
    apply(taken: readonly RouteChange[] | null) {
      if (taken === null) return list()
      changes += taken.length
      for (const change of taken) note(change)
      const isOfPorts = taken.some(({ what }) => what === 'link' || what === 'address')
      const hasLostAddress = taken.some(({ what, isGone }) => what === 'address' && isGone)
      const isLate = isOutdated && performance.now() - listedAt >= SECOND_MS
      if ((isOfPorts && readPorts()) || hasLostAddress || isLate) list()
      else theirs.tell(installed)
    },
    /**
     * Gateways that nobody knows, and neighbours of whom the kernel is no longer sure, are asked for, and routes are
     * tried again that there was no room for. Whether the tables have changed.
     */
    refresh(): boolean {
      const lists = isOutdated
      if (lists) list()
      const hasHoused = house()
      theirs.tell(installed)
      const all = [...adjacencies.unresolved(), ...hosts.stale()]
      // In turn: those who never answer must not keep the others from being asked.
      const count = Math.min(MOST_REFRESHED, all.length)
      for (let turn = 0; turn < count; turn++) {
        const { index, address } = all[refreshed++ % all.length]!
        request(index, address, null)
      }
      return lists || hasHoused
    },
    ask(hop: number, address: Uint8Array, sender: number) {
      const awaited = adjacencies.awaited(hop, address)
      if (awaited !== null) request(awaited.index, awaited.address, sender)
    },
    statistics: (): MirrorStatistics => ({ routes: installed.size, hosts: hosts.count(), changes, listed, refused }),
  }

  function forgetAsk(key: string): void {
    const sender = asked.get(key)?.sender ?? null
    if (sender !== null) asks.give(sender)
    asked.delete(key)
  }

  /** Nothing where a sender's packets have had their share of the last second. */
  function request(index: number, address: Uint8Array, sender: number | null): void {
    const [key, now] = [neighbourKey({ index, address }), performance.now()]
    for (const [other, { at }] of asked) {
      if (now - at < SECOND_MS) break
      forgetAsk(other)
    }
    if (asked.has(key) || (sender !== null && !asks.take(sender))) return
    asked.set(key, { at: now, sender })
    try {
      useNeighbour(netlink, index, address)
    } catch (error) {
      // The device is down or has gone: its routes go as well.
      if (!(error instanceof KernelError)) throw error
    }
  }
}

function* keysOf(...books: readonly RouteBook[]): IterableIterator<string> {
  const [first, second] = books
  yield* second!.keys()
  for (const key of first!.keys()) if (second!.best(key) === undefined) yield key
}
