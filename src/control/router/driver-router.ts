import {
  closeNetlink,
  type Link,
  listLinks,
  listRoutes,
  type NetlinkSocket,
  type NetworkNamespace,
  openRoute,
  openRouteMonitor,
  parseMac,
  type RouteChange,
  readSysctl,
} from '../../kernel/index.js'
import { type CountName, type ForwardDevice, type Forwarder, openForwarder } from '../../offload/index.js'
import { createClosers } from '../closers.js'
import { checkRouterDevices, downNotes, findDeviceIn, LostDeviceError } from '../device.js'
import type { PolicyInForce, PolicyRequest } from '../opened-policy.js'
import { checkTakeable } from '../takeable.js'
import { openGuard, policyDrops } from './guard.js'
import { watchNeighbours } from './neighbour-watch.js'

/** A router that is nothing but programs in the drivers of its devices. */
export interface DriverRouterOptions {
  /** Two or more. */
  readonly devices: readonly string[]
  readonly namespace?: NetworkNamespace
  /** Flows of each family that are forwarded without a look-up; 0: none. */
  readonly flows: number
  /** What packets meet before these programs, as for a router in user space. */
  readonly policy?: PolicyRequest
  readonly warn: (sentence: string) => void
}

export interface DriverRouter {
  readonly devices: Forwarder['devices']
  /** The policy in front of the devices; null where there is none. */
  readonly policy: PolicyInForce | null
  totals(): DriverTotals
  /** Resolves when it is closed, rejects with a LostDeviceError where a device has gone or lost its program. */
  readonly done: Promise<void>
  close(): void
}

export interface DriverTotals {
  readonly forwarded: number
  /** Of these, without a look-up. */
  readonly byFlow: number
  readonly activeFlows: number
  /** Packets that went on to the kernel, or were swallowed by a blackhole, by reason; only those that there were. */
  readonly others: Readonly<Partial<Record<CountName, number>>>
  /** Dropped by the policy, by its rule; only those that there were. */
  readonly drops: Readonly<Record<string, number>>
}

const SWEEP_MS = 1000
/** As the kernel's flow tables (nf_flowtable_udp_timeout). */
const IDLE_MS = 30_000
/** A flow is entered by one in so many of its packets, so that those of a few packets seldom are. */
const LEARN_ONE_IN = 16
const MOST_AT_ONCE = 512

/**
 * Puts the programs in place. The kernel's own tables decide, so nothing is
 * copied; what is watched are changes that end what flows have been told.
 * Throws DeviceError, LoadError, KernelError and RedirectError.
 */
export function startDriverRouter({ devices, namespace, flows, policy, warn }: DriverRouterOptions): DriverRouter {
  checkRouterDevices(devices)
  const netlink = openRoute(namespace)
  const { later, add, close } = createClosers()
  add(() => closeNetlink(netlink))
  try {
    const links = devices.map((name) => findDeviceIn(netlink, name))
    links.forEach(checkTakeable)
    const place = namespace ? { namespace } : {}
    const guard = policy ? later(openGuard(policy, { devices: links, isInDriver: true, ...place })) : null
    for (const note of guard?.notices ?? []) warn(note)
    for (const note of links.flatMap(downNotes)) warn(note)
    // First the changes, then what they change.
    const monitor = later(openRouteMonitor(namespace))
    warnOf(netlink, links, warn, namespace)
    const table = flows === 0 ? {} : { table: { capacity: flows, learnOneIn: LEARN_ONE_IN } }
    const forwarder = later(
      openForwarder(
        links.map((link) => describe(link, namespace)),
        { ...table, ...place, ...(guard && { attach: guard.attach }) },
      ),
    )
    const neighbours = watchNeighbours(netlink, links)
    let fail: (error: Error) => void = () => {}
    let finish: () => void = () => {}
    const done = new Promise<void>((resolve, reject) => {
      ;[finish, fail] = [resolve, reject]
    })
    const watch = monitor.watch(() => {
      const changes = monitor.take(MOST_AT_ONCE)
      if (neighbours.heard(changes) || changes === null || changes.some(isOfRoutes)) forwarder.flows?.invalidate()
      if (changes === null || changes.some(({ what }) => what === 'link')) renew(forwarder, netlink, links, namespace)
    })
    later(watch)
    const timer = setInterval(() => {
      forwarder.flows?.sweep(IDLE_MS, performance.now())
      neighbours.refresh()
      const lost = forwarder.lost()
      if (lost === null) return
      fail(
        new LostDeviceError(
          `${lost} has been removed, or somebody has taken the program off it; start again where it is needed`,
        ),
      )
    }, SWEEP_MS)
    add(() => clearInterval(timer))
    let last: DriverTotals | null = null
    const totals = () => ({ ...totalsOf(forwarder), drops: guard ? policyDrops(guard) : {} })
    const end = () => {
      last = totals()
      close()
    }
    return {
      devices: forwarder.devices,
      policy: guard,
      totals: () => last ?? totals(),
      done: done.finally(end),
      close: () => finish(),
    }
  } catch (error) {
    close()
    throw error
  }
}

function isOfRoutes({ what }: RouteChange): boolean {
  return what !== 'neighbour'
}

function totalsOf(forwarder: Forwarder): Omit<DriverTotals, 'drops'> {
  const { forwarded, 'forwarded by flow': byFlow, ...others } = forwarder.counts()
  return {
    forwarded: forwarded + byFlow,
    byFlow,
    activeFlows: forwarder.flows?.active() ?? 0,
    others: Object.fromEntries(Object.entries(others).filter(([, count]) => count > 0)),
  }
}

/** The kernel's own setting of the device: the larger of its and of all (linux: Documentation/networking/ip-sysctl.rst, rp_filter). */
function describe({ name, index, mac }: Link, namespace?: NetworkNamespace): ForwardDevice {
  const filter = Math.max(...['all', name].map((scope) => readSysctl(namespace, `ipv4/conf/${scope}/rp_filter`)))
  return { name, index, mac: parseMac(mac), reversePath: (['off', 'strict', 'loose'] as const)[filter] ?? 'strict' }
}

/** New programs for devices whose MAC address has changed. */
function renew(forwarder: Forwarder, netlink: NetlinkSocket, links: Link[], namespace?: NetworkNamespace): void {
  const now = new Map(listLinks(netlink).map((link) => [link.index, link]))
  links.forEach((before, at) => {
    const link = now.get(before.index)
    if (link === undefined || link.mac === before.mac) return
    forwarder.change(describe(link, namespace))
    links[at] = link
  })
}

/** What the kernel's forwarding does and the look-up in the driver does not. */
function warnOf(
  netlink: NetlinkSocket,
  links: readonly Link[],
  warn: (sentence: string) => void,
  namespace?: NetworkNamespace,
): void {
  const off = links.filter(({ name }) => readSysctl(namespace, `ipv4/conf/${name}/forwarding`) === 0)
  if (off.length > 0)
    warn(
      `forwarding of IPv4 is off at ${off.map(({ name }) => name).join(' and ')}, so nothing is forwarded: sysctl -w net.ipv4.ip_forward=1`,
    )
  const limited = listRoutes(netlink).filter(({ destination, mtuBytes }) => destination.length === 4 && mtuBytes !== 0)
  if (limited.length > 0)
    warn(
      `${limited.length} routes of IPv4 have an MTU of their own, which the look-up in the driver heeds only where it is locked: ip route change … mtu lock N`,
    )
}
