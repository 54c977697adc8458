import { xdpNotes } from '../../device/index.js'
import type { StageStatistics } from '../../engine/index.js'
import type { NatRule } from '../../flow/index.js'
import {
  closeNetlink,
  type Link,
  listAddresses,
  listLinks,
  type NetlinkSocket,
  type NetworkNamespace,
  openRoute,
} from '../../kernel/index.js'
import { GENERIC_WARNING, type XdpMode } from '../../loader/index.js'
import type { Space } from '../../memory/index.js'
import type { ErrorsOptions, Routes, RoutesOptions } from '../../route/index.js'
import type { QueueOptions } from '../../transmit/index.js'
import { createClosers } from '../closers.js'
import { checkRouterDevices, DeviceError, downNotes, findDeviceIn, LostDeviceError, programGone } from '../device.js'
import type { PolicyInForce, PolicyRequest } from '../opened-policy.js'
import { checkEthernet, checkTakeable } from '../takeable.js'
import type { Hooks } from './draw.js'
import { openGuard } from './guard.js'
import { type ListenerRequest, openListeners } from './listeners.js'
import { openListening, type RouterListener } from './listening.js'
import { type Mirror, mirrorKernel } from './mirror.js'
import { isChained, translatedPorts, withPorts } from './nat.js'
import { type Offload, openOffload } from './offload.js'
import { type CountedSockets, openPort, type RouterPort } from './port.js'
import { openPortCounters, type PortPlace, type PortQueue, portQueues } from './port-counters.js'
import { type EngineParts, type RouterEngine, startRouterHere, startRouterWorkers } from './router-engine.js'
import { type FlowsRequest, type RouterFlows, readFlows } from './router-flows.js'
import { entriesFor, openMemory, type TABLES } from './router-memory.js'
import { MOST_ROUTER_WORKERS, type RouterSettings, type Tracking } from './router-plan.js'
import { type RouterTotals, totalsOf, withDriver, withPolicy } from './router-totals.js'

export interface RouterOptions {
  /** The network devices of the router, two or more. */
  readonly devices: readonly string[]
  readonly namespace?: NetworkNamespace
  /** Entries of each ring of a queue; 2,048 where it is not said, down to 512 where there are many queues. */
  readonly entries?: number
  readonly tables?: RoutesOptions
  readonly reversePath?: 'off' | 'loose' | 'strict'
  /** Connections that are tracked at most, each worker its share of them; none where it is not said. */
  readonly track?: number
  /** How they are tracked; as Linux does where it is not said. */
  readonly tracking?: Tracking
  /**
   * What is translated; ports are numbered as `devices` are. Flows are tracked
   * then, 65,536 where `track` does not say it. Masquerading takes the ports
   * from 61000 on, where a rule says no others; those of `source` must not be
   * the machine's own addresses.
   */
  readonly nat?: readonly NatRule[]
  /**
   * Threads that share the queues of the ports; one where it is not said, at most as many as each port has queues.
   * 0: this thread forwards, between all else that it does.
   */
  readonly workers?: number
  /** Only where this thread forwards: they cannot be sent to another. */
  readonly hooks?: Hooks
  /** Who stands at the hooks from the first packet on, as `Router.listen` has them, in their order. */
  readonly listeners?: readonly ListenerRequest[]
  /**
   * Busy flows that are tracked are forwarded in the drivers, so many directions
   * of each family at most; none where it is not said. Not with a queue or hooks, by which their packets would not come.
   */
  readonly offload?: number
  /** How ICMP errors are limited, and where they come from. */
  readonly icmp?: ErrorsOptions
  /** What stands before each port; where it is not said, what a port has no room for is dropped. */
  readonly queue?: Pick<QueueOptions, 'discipline' | 'byteLimit' | 'doorbell'>
  /** `small`: for devices with little memory, which a few megabytes of tables suit better than what a full BGP table takes. */
  readonly profile?: keyof typeof TABLES
  /**
   * What every packet that a device receives meets first, in the driver: what it
   * passes goes on to the router, or is the machine's own. One policy for all
   * devices; rules that divert, steer or forward are refused.
   */
  readonly policy?: PolicyRequest
  readonly warn: (sentence: string) => void
}

export interface Router {
  readonly name: string
  readonly devices: readonly string[]
  /** How packets are taken, of each port where they differ. */
  readonly mode: string
  readonly space: Space
  readonly engine: RouterEngine['served']
  readonly mirror: Mirror
  readonly tables: Routes
  readonly ports: readonly (RouterPort & { readonly mode: XdpMode })[]
  /** What the operator should know of the devices, a sentence each. */
  readonly notes: readonly string[]
  /** What each stage has done, of each worker, and each port behind them. */
  stages(): readonly StageStatistics[]
  totals(): RouterTotals
  /** The policy in front of the devices; null where there is none. */
  readonly policy: PolicyInForce | null
  /** The connections that are tracked, with what has happened to their tables; null where none are. Slow: for people and tests. */
  flows(request: FlowsRequest): RouterFlows | null
  /** What waits before each port, and what its queue has done; none where there are no queues. */
  queues(): readonly PortQueue[]
  /**
   * Puts a listener at a hook, behind those that are there, without losing a
   * packet; the graph has nothing of it before and after. Rejects with
   * DeviceError, FilterError, and what a worker has no room for; nothing has changed then.
   */
  listen(request: ListenerRequest): Promise<RouterListener>
  /** Resolves when it is closed, rejects with a LostDeviceError where a device, or its program, is gone. */
  readonly done: Promise<void>
  close(): void
}

/** Flows that a router knows which translates and is told of no number. */
const NAT_FLOWS = 65_536

/**
 * Forwards packets between network devices as the kernel's routes and
 * neighbours say, in user space. This thread follows the kernel, workers of
 * their own forward. Rejects with DeviceError, LoadError, KernelError, or what a
 * worker could not do; nothing is left then.
 */
export async function startRouter(asked: RouterOptions): Promise<Router> {
  const nat = withPorts(asked.nat ?? [])
  const options = { ...asked, nat, track: asked.track ?? (nat.length > 0 ? NAT_FLOWS : 0) }
  const { devices, namespace, workers = 1, hooks, warn } = options
  checkRouterDevices(devices)
  checkOptions(options)
  const { later, add, closeInTurn } = createClosers()
  try {
    const netlink = openRoute(namespace)
    add(() => closeNetlink(netlink))
    const links = devices.map((name) => findDeviceIn(netlink, name))
    links.forEach(checkEthernet)
    const guard = options.policy
      ? later(openGuard(options.policy, { devices: links, isInDriver: false, ...(namespace && { namespace }) }))
      : null
    const own = listAddresses(netlink).map(({ address }) => address)
    const translated = translatedPorts(nat)
    const keepsAll = isFiltering(options, options.listeners ?? [])
    const entries =
      options.entries ?? entriesFor(links.map(({ name, index }) => ({ name, index, ...(namespace && { namespace }) })))
    const ports = links.map((link) =>
      later(openPort(link, own, { entries, translated, keepsAll, ...(namespace && { namespace }) })),
    )
    checkWorkers(workers, ports)
    links.forEach(checkTakeable)
    const { space, code, pool, tables, part } = openMemory(options, ports)
    const { places } = later(
      openPortCounters(
        space,
        ports.map(({ sockets }) => sockets.queues.length),
      ),
    )
    const flowTables = options.track > 0 ? { flowsAt: flowsAt(space, workers), workers: Math.max(1, workers) } : null
    let engine: RouterEngine | null = null
    let offload: Offload | null = null
    const mirror = later(
      mirrorKernel({
        tables,
        ports: links.map(({ index }) => index),
        warn,
        listing: () => offload?.suspend(),
        changed() {
          offload?.changed()
          engine?.wake()
        },
        own(addresses) {
          ports.forEach((port, place) => {
            port.setOwnAddresses(addresses)
            offload?.follow(place)
          })
        },
        hardware(port, mac) {
          ports[port]!.setMac(mac)
          offload?.setMac(port, mac)
        },
        kernels(prefixes) {
          ports.forEach((port, place) => {
            port.setKernels(prefixes)
            offload?.follow(place)
          })
        },
        ...(namespace && { namespace }),
        ...(options.reversePath && { settings: { reversePath: options.reversePath } }),
      }),
    )
    if (options.offload !== undefined) {
      const place = {
        ...{ capacity: options.offload, flows: flowTables! },
        ...(namespace && { namespace }),
        ...(guard && { attach: guard.attach }),
      }
      offload = later(openOffload({ space, tables, links, ports, ...place }))
    }
    const listeners = openListeners(space, devices, Math.max(1, workers))
    for (const request of options.listeners ?? []) listeners.add(request)
    const parts: EngineParts = {
      ...{ space, code, pool, tables, mirror, partBytes: part, listeners: listeners.all() },
      ...forwardingOf(options, ports, places),
      withoutSocket: (port) => ports[port]!.withoutSocket(),
      ...(flowTables && { flowsAt: flowTables.flowsAt }),
    }
    engine = later(workers === 0 ? startRouterHere(parts, hooks) : await startRouterWorkers(parts, workers, warn))
    // The sockets are there: no packet is taken from the kernel before somebody takes it.
    const modes = offload?.attach() ?? ports.map((port) => port.attach(guard?.attach))
    const attached = ports.map((port, place) => ({ ...port, mode: modes[place]! }))
    let stop = () => {}
    const stopped = new Promise<void>((resolve) => (stop = resolve))
    const lookout = watchLinks(netlink, links)
    later(lookout)
    const first = parts.track === 0 ? 'route' : workers > 1 ? 'owner' : 'track'
    const totals = () => withPolicy(withDriver(totalsOf(ports, engine, first, listeners), offload), guard)
    const listen = openListening(listeners, async (all) => {
      const keeps = isFiltering(options, all)
      // The drivers drop before the first filter is there, and until the last one is gone.
      if (keeps) for (const port of ports) port.keepAll(true)
      try {
        await engine!.listen(all)
      } finally {
        if (!keeps) for (const port of ports) port.keepAll(false)
      }
    })
    let last: RouterTotals | null = null
    return {
      name: 'route',
      devices,
      mode: [...new Set(modes)].join(', '),
      space,
      engine: engine.served,
      mirror,
      tables,
      ports: attached,
      notes: attached
        .flatMap(({ sockets, mode, name }, place) => [
          ...downNotes(links[place]!),
          ...(mode === 'generic' ? [`${name} ${GENERIC_WARNING}`] : []),
          ...xdpNotes(sockets.device),
        ])
        .concat(guard?.notices ?? []),
      policy: guard,
      stages: engine.stages,
      totals: () => last ?? totals(),
      flows(request) {
        if (flowTables === null) return null
        const driven = offload?.counted()
        return readFlows(space, flowTables, (worker, flow) => driven?.[worker]?.get(flow) ?? null, request)
      },
      queues: () => (options.queue === undefined ? [] : portQueues(space, parts.ports)),
      async listen(request) {
        if (last !== null) throw new DeviceError('this router has ended, and has no hooks; start another one')
        if (offload !== null) throw new DeviceError(NO_HOOKS)
        return listen(request)
      },
      done: Promise.race([stopped, lookout.lost, engine.failed]).finally(() => {
        last = totals()
        return closeInTurn()
      }),
      close: stop,
    }
  } catch (error) {
    await closeInTurn()
    throw error
  }
}

/** Whether packets may not pass, or not as they are: then the kernel is not to forward them for a worker that has ended. */
function isFiltering(
  { track = 0, reversePath = 'off' }: RouterOptions,
  listeners: readonly Pick<ListenerRequest, 'action'>[],
): boolean {
  return track > 0 || reversePath !== 'off' || listeners.some(({ action }) => action === 'drop')
}

/** What does the forwarding, and by what rules: plain data. */
function forwardingOf(
  { track = 0, nat = [], tracking = {}, queue, icmp }: RouterOptions,
  ports: readonly RouterPort[],
  places: readonly PortPlace[],
): Omit<RouterSettings, 'tables' | 'asks' | 'workers' | 'shared' | 'listeners'> {
  const counted = ports.map(({ sockets }, port): CountedSockets => ({ ...sockets, counters: places[port]! }))
  return { ports: counted, track, nat, tracking, ...(queue && { queue }), ...(icmp && { icmp }) }
}

/** Memory for the addresses of the workers' tables of flows, a word each. */
function flowsAt(space: Space, workers: number): number {
  return space.reserve({ name: 'router flows', kind: 'state', bytes: Math.max(1, workers) * 4 }).offset
}

const NO_HOOKS = 'packets that the drivers forward meet no hooks; route without --offload'

function checkOptions(options: RouterOptions): void {
  const { workers = 1, hooks, listeners = [], track = 0, nat = [], tracking = {}, queue, offload } = options
  if (track === 0 && Object.keys(tracking).length > 0)
    throw new DeviceError(
      'how connections are tracked is said, and not that they are; say how many, for example --track 64k',
    )
  if (offload !== undefined) {
    if (hooks || listeners.length > 0) throw new DeviceError(NO_HOOKS)
    if (queue) throw new DeviceError('packets that the drivers forward wait in no queue; leave one of the two out')
    if (track === 0)
      throw new DeviceError('only flows that are tracked can be offloaded; say how many, for example --track 64k')
  }
  if (hooks && workers > 0) throw new RangeError('hooks are functions of this thread; give the router 0 workers')
  if (workers < 2) return
  if (isChained(nat))
    throw new DeviceError('what is published is published again, which one worker alone can do; publish the last host')
}

function checkWorkers(workers: number, ports: readonly RouterPort[]): void {
  if (workers > MOST_ROUTER_WORKERS) throw new DeviceError(`a router has ${MOST_ROUTER_WORKERS} workers at most`)
  const short = ports.find(({ sockets }) => sockets.queues.length < workers)
  if (short === undefined) return
  const { length } = short.sockets.queues
  throw new DeviceError(
    `${short.name} has ${length} receive queue${length === 1 ? '' : 's'}, and each of ${workers} workers needs one; start fewer, or see ethtool -L ${short.name}`,
  )
}

const LOOK_MS = 250

/** `lost` rejects with a LostDeviceError when one of these is there no more, or has no program any more. */
function watchLinks(netlink: NetlinkSocket, links: readonly Link[]) {
  let timer: NodeJS.Timeout
  const lost = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      try {
        checkLinks(links, listLinks(netlink))
      } catch (error) {
        reject(error)
      }
    }, LOOK_MS)
  })
  return { lost, close: () => clearInterval(timer) }
}

function checkLinks(links: readonly Link[], present: readonly Link[]): void {
  const there = new Map(present.map((link) => [link.index, link]))
  const gone = links.find(({ index }) => !there.has(index))
  if (gone) throw new LostDeviceError(`the device ${gone.name} has been removed: no packets come from it any more`)
  const bare = links.find(({ index }) => there.get(index)?.xdp.mode === 'none')
  if (bare) throw new LostDeviceError(programGone(bare.name))
}

export { type NatRule, TIMEOUTS_SECONDS, type Timeouts } from '../../flow/index.js'
export { type Discipline, type Doorbell, fifo, fqCodel, priority, tokenBucket } from '../../transmit/index.js'
export type { Heard, ListenerRequest } from './listeners.js'
export type { RouterListener } from './listening.js'
export { parseHost } from './parse-host.js'
export { parseListener } from './parse-listener.js'
export { parsePublished } from './published.js'
export type { FlowEnds, FlowsRequest, RouterFlow, RouterFlows } from './router-flows.js'
export type { Tracking } from './router-plan.js'
export type { RouterTotals } from './router-totals.js'
