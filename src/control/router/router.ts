import { receiveQueues } from '../../device/index.js'
import { type Engine, startEngine } from '../../engine/index.js'
import { openFlows } from '../../flow/index.js'
import {
  closeNetlink,
  listAddresses,
  type NetlinkSocket,
  type NetworkNamespace,
  openRoute,
} from '../../kernel/index.js'
import { createPool, createSpace, loadCode, type Space } from '../../memory/index.js'
import { type ErrorsOptions, openRoutes, type Routes, type RoutesOptions, routesBytes } from '../../route/index.js'
import { fifo, mostPackets, openQueue, type QueueOptions } from '../../transmit/index.js'
import { DeviceError, findDeviceIn } from '../device.js'
import { drawRouter, type Hooks } from './draw.js'
import { type Mirror, mirrorKernel } from './mirror.js'
import { openPort, type RouterPort } from './port.js'

export interface RouterOptions {
  /** The network devices of the router, two or more. */
  readonly devices: readonly string[]
  readonly namespace?: NetworkNamespace
  /** Entries of each ring of a queue; 2,048 where it is not said. */
  readonly entries?: number
  readonly tables?: RoutesOptions
  readonly reversePath?: 'off' | 'loose' | 'strict'
  /** Connections that are tracked at most; none where it is not said. */
  readonly track?: number
  readonly hooks?: Hooks
  /** How ICMP errors are limited, and where they come from. */
  readonly icmp?: ErrorsOptions
  /** What stands before each port; where it is not said, what a port has no room for is dropped. */
  readonly queue?: Pick<QueueOptions, 'discipline' | 'byteLimit' | 'doorbell'>
  /** `small`: for devices with little memory, which a few megabytes of tables suit better than what a full BGP table takes. */
  readonly profile?: keyof typeof TABLES
  readonly warn: (sentence: string) => void
}

export interface Router {
  readonly name: string
  readonly space: Space
  readonly engine: Engine
  readonly mirror: Mirror
  readonly tables: Routes
  readonly ports: readonly RouterPort[]
  totals(): RouterTotals
  /** Resolves when it is closed, rejects with a DeviceError where a device has been removed. */
  readonly done: Promise<void>
  close(): void
}

export interface RouterTotals {
  readonly received: number
  /** Sent by a port. */
  readonly forwarded: number
  /** By stage and reason, where there are any. */
  readonly drops: Readonly<Record<string, number>>
}

const ENTRIES = 2048
const FRAMES_AN_ENTRY = 2.5
const FRAME_BYTES = 2048
const RING_BYTES_AN_ENTRY = 64
const OTHER_BYTES = 16 << 20
/** What a flow takes, with its share of a table that is half empty. */
const FLOW_MOST_BYTES = 256
/** For a full table of the Internet and as much again; for some thousand routes. */
const TABLES = {
  large: {
    v4: { rootBits: 24, nodes: 16_384, routes: 1 << 20 },
    v6: { rootBits: 16, nodes: 131_072, routes: 1 << 18 },
    nextHops: 8192,
    groups: 1024,
  },
  small: {
    v4: { rootBits: 16, nodes: 1024, routes: 4096 },
    v6: { rootBits: 16, nodes: 1024, routes: 1024 },
    nextHops: 512,
    groups: 16,
  },
} as const satisfies Readonly<Record<string, RoutesOptions>>
/** Packets that may wait before a port, and their share of what keeps them. */
const QUEUE_BYTES = 1 << 20

/**
 * Forwards packets between network devices as the kernel's routes and
 * neighbours say, in user space. Throws DeviceError, LoadError and KernelError;
 * nothing is left then.
 */
export function startRouter(options: RouterOptions): Router {
  const { devices, namespace, queue, entries = ENTRIES, track = 0, profile = 'large' } = options
  if (devices.length < 2) throw new DeviceError(`a router has two devices or more; name another one beside ${devices}`)
  const closers: (() => void)[] = []
  const later = <T extends { close(): void }>(thing: T): T => {
    closers.push(() => thing.close())
    return thing
  }
  const close = () => {
    for (const closeOne of closers.toReversed()) closeOne()
    closers.length = 0
  }
  try {
    const netlink = openRoute(namespace)
    closers.push(() => closeNetlink(netlink))
    const links = devices.map((name) => findDeviceIn(netlink, name))
    const queues = links.reduce(
      (sum, link) => sum + receiveQueues({ ...link, ...(namespace && { namespace }) }).length,
      0,
    )
    const waiting = queue === undefined ? 0 : devices.length * mostPackets(queue.discipline ?? fifo())
    const frames = Math.ceil((queues * entries * FRAMES_AN_ENTRY + waiting) / 256) * 256
    const sizes = { ...TABLES[profile], ...options.tables, ports: devices.length }
    const rings = queues * entries * RING_BYTES_AN_ENTRY
    const tableBytes = routesBytes(sizes) + track * FLOW_MOST_BYTES + devices.length * QUEUE_BYTES
    const space = createSpace(frames * FRAME_BYTES + rings + tableBytes + OTHER_BYTES)
    const code = loadCode(space)
    const pool = later(createPool(space, code, { 2048: frames }).openWorker('router'))
    const tables = openRoutes(space, code, 'router', sizes)
    let wake = () => {}
    const own = ownAddresses(netlink)
    const ports = links.map((link) =>
      later(openPort(space, code, pool, link, own, { entries, ...(namespace && { namespace }) })),
    )
    const mirror = later(
      mirrorKernel({
        tables,
        ports: links.map(({ index }) => index),
        warn: options.warn,
        changed: () => wake(),
        own(addresses) {
          for (const port of ports) port.setOwnAddresses(addresses)
        },
        ...(namespace && { namespace }),
        ...(options.reversePath && { settings: { reversePath: options.reversePath } }),
      }),
    )
    const flows = track === 0 ? null : later(openFlows(space, code, 'router', { flows: track }))
    const drawn = drawRouter({
      ports: ports.map(({ name, xdp: { queues: from } }) => ({
        name,
        from,
        to: queue === undefined ? from[0]! : later(openQueue(space, code, pool, from[0]!, queue)),
      })),
      tables,
      ask: mirror.ask,
      ...(options.hooks && { hooks: options.hooks }),
      ...(flows && { flows }),
      ...(options.icmp && { icmp: options.icmp }),
    })
    const engine = later(startEngine(space, code, pool, drawn, { name: 'router' }))
    const running = run(engine, () => new Promise<void>((resolve) => (wake = resolve)))
    return {
      name: 'router',
      space,
      engine,
      mirror,
      tables,
      ports,
      totals: () => totalsOf(ports, engine),
      done: running.done.finally(close),
      close() {
        running.stop()
        wake()
      },
    }
  } catch (error) {
    close()
    throw error
  }
}

function totalsOf(ports: readonly RouterPort[], engine: Engine): RouterTotals {
  const queues = ports.flatMap(({ xdp }) => xdp.queues.map((queue) => queue.statistics()))
  const drops = engine
    .statistics()
    .flatMap(({ name, drops: reasons }) =>
      Object.entries(reasons).flatMap(([reason, count]) =>
        count === 0 ? [] : [[`${name}: ${reason}`, count] as const],
      ),
    )
  return {
    received: queues.reduce((sum, { receivedPackets }) => sum + receivedPackets, 0),
    forwarded: queues.reduce((sum, { sentPackets }) => sum + sentPackets, 0),
    drops: Object.fromEntries(drops),
  }
}

function ownAddresses(netlink: NetlinkSocket): Uint8Array[] {
  return listAddresses(netlink).map(({ address }) => address)
}

const ROUNDS_A_TURN = 64
const WAIT_MS = 1000
const LOOK_MS = 250

function run(engine: Engine, woken: () => Promise<void>) {
  let isOpen = true
  const loop = async () => {
    let looked = performance.now()
    await nextTurn()
    while (isOpen) {
      let count = 1
      for (let turn = 0; turn < ROUNDS_A_TURN && count > 0; turn++) count = engine.round()
      if (count > 0) await nextTurn()
      else await Promise.race([engine.wait(WAIT_MS), woken()])
      const now = performance.now()
      if (now - looked < LOOK_MS || !isOpen) continue
      looked = now
      const [loss] = engine.lost()
      if (loss !== undefined) throw new DeviceError(loss)
    }
  }
  return {
    done: loop(),
    stop() {
      isOpen = false
    },
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export { type Discipline, fifo, fqCodel, priority, tokenBucket } from '../../transmit/index.js'
