import { type Graph, planWorkers, type WorkerDraft, type WorkerHost } from '../../engine/index.js'
import { type FlowsOptions, type NatRule, openFlows } from '../../flow/index.js'
import type { ErrorsOptions, HoldOptions, RoutesPlace } from '../../route/index.js'
import { openProducer, openQueue, type QueueOptions, type SharedQueuePlace } from '../../transmit/index.js'
import { tellAsks } from './asks.js'
import { type DrawnPeer, drawRouter, type Hooks } from './draw.js'
import { hooksFor } from './draw-listeners.js'
import { handOver } from './hand-over.js'
import type { Listener } from './listeners.js'
import { type CountedSockets, openQueues } from './port.js'

/** What the workers of a router start with. */
export interface RouterSettings {
  readonly ports: readonly CountedSockets[]
  readonly tables: RoutesPlace
  /** Where they tell what they wait for. */
  readonly asks: number
  /** Workers there are. */
  readonly workers: number
  /** Connections that are tracked at most, by all of them. */
  readonly track: number
  /** What is translated of them. */
  readonly nat: readonly NatRule[]
  /** How they are tracked. */
  readonly tracking: Tracking
  /** Address of words, one for the table of each worker, where somebody looks at them from outside. */
  readonly flowsAt?: number
  readonly queue?: Pick<QueueOptions, 'discipline' | 'byteLimit' | 'doorbell'>
  /** With a queue before each port, and several workers: by which it gets packets of the others. */
  readonly shared: readonly SharedQueuePlace[]
  readonly icmp?: ErrorsOptions
  /** Who stands at the hooks. */
  readonly listeners: readonly Listener[]
}

/** How connections are tracked, as plain data. */
export type Tracking = Pick<
  FlowsOptions,
  'timeouts' | 'whenFull' | 'loose' | 'liberal' | 'mostRetransmitted' | 'checksums'
>

/** More than that share out queues that few devices have. */
export const MOST_ROUTER_WORKERS = 16

/**
 * The workers of a router, each with its share of each port's queues: those
 * whose number, divided by how many workers there are, leaves the worker's own.
 * A router starts the first few of these.
 */
export const routerPlan = planWorkers<RouterSettings>(
  import.meta.url,
  Object.fromEntries(
    Array.from({ length: MOST_ROUTER_WORKERS }, (_, worker): [string, WorkerDraft<RouterSettings>] => [
      nameOf(worker),
      { graph: (host, settings) => drawWorker(worker, host, settings) },
    ]),
  ),
)

/** The first workers of the plan; where they have flows, with a ring from each to each, for the packets of the others' flows. */
export function planFor(count: number, isTracked: boolean): typeof routerPlan {
  const first = Object.entries(routerPlan.workers).slice(0, count)
  const others = (name: string) => first.flatMap(([other]) => (isTracked && other !== name ? [other] : []))
  return {
    ...routerPlan,
    workers: Object.fromEntries(first.map(([name, draft]) => [name, { ...draft, to: others(name) }])),
  }
}

/** What of a router with several workers is one's alone. */
interface Share {
  readonly number: number
  readonly count: number
  readonly peers: readonly DrawnPeer[]
}

const ALONE: Share = { number: 0, count: 1, peers: [] }

function drawWorker(number: number, host: WorkerHost, settings: RouterSettings) {
  const { space, code, keep, from, to } = host
  const { ports, asks, workers: count, track } = settings
  const others = Array.from({ length: track === 0 ? 0 : count }, (_, other) => other).filter((each) => each !== number)
  const peers = others.map((other) => {
    const name = nameOf(other)
    return { number: other, from: from(name), to: to(name) }
  })
  return drawForwarding(
    host,
    { ...settings, ports: sharesOf(ports, count, number), share: { number, count, peers } },
    keep,
    keep('asks', () => tellAsks(space, code, asks, number)),
  )
}

function nameOf(worker: number): string {
  return `worker ${worker}`
}

/** Of so many flows, those that each of the workers has room for. */
export function flowsOfEach(flows: number, workers: number): number {
  return Math.ceil(flows / workers)
}

/** Whether one of so many workers has the queue before a port: ports are shared out in turn. */
export function keepsQueue(port: number, workers: number, worker: number): boolean {
  return port % workers === worker
}

/** The ports with those of their queues that one of so many workers has. */
export function sharesOf(ports: readonly CountedSockets[], workers: number, worker: number): CountedSockets[] {
  return ports.map((port) => ({ ...port, queues: port.queues.filter((queue) => queue % workers === worker) }))
}

/** The graph that a thread forwards by; `keep` opens what is not there yet. */
export function drawForwarding(
  { space, code, pool }: Pick<WorkerHost, 'space' | 'code' | 'pool'>,
  {
    ports,
    share = ALONE,
    ...settings
  }: Omit<RouterSettings, 'asks' | 'workers' | 'shared'> &
    Partial<Pick<RouterSettings, 'shared'>> & { readonly share?: Share },
  keep: WorkerHost['keep'],
  ask: HoldOptions['ask'],
  hooks: Hooks = {},
): Graph {
  const { tables, track, nat, tracking, flowsAt, queue, icmp, listeners, shared: places = [] } = settings
  const { number, count, peers } = share
  const drawn = ports.map((port, place) => {
    const { name } = port.device
    const { queues: from } = keep(`sockets of ${name}`, () => openQueues(space, code, pool, port))
    const shared = places[place]
    const before = () => {
      const options = { ...queue, ...(shared && { shared }), told: port.counters.waiting }
      return openQueue(space, code, pool, from[0]!, options)
    }
    // Two devices of one name are not sent to: each producer is called after its port.
    const toQueue = () => ({ ...openProducer(space, code, shared!, number), name: `queue before ${name}` })
    const waits = queue && keep(`queue before ${name}`, shared && !keepsQueue(place, count, number) ? toQueue : before)
    const { device, handOver: program } = port
    const own = program === null ? null : handOver(`kernel ${name}`, device, program)
    return { name, from, to: waits ?? from[0]!, ...(own && { handOver: own }) }
  })
  const table = { ...tracking, flows: flowsOfEach(track, count), nat, owner: { number, count } }
  const flows = track === 0 ? null : keep('flows', () => openFlows(space, code, 'router', table))
  if (flows && flowsAt !== undefined) Atomics.store(space.words, flowsAt / 4 + number, flows.address)
  const heard = hooksFor(listeners, { space, keep, worker: number, ports: drawn })
  const options = { ...(flows && { flows, peers }), ...(icmp && { icmp }), hooks: joined(hooks, heard) }
  return drawRouter({ ports: drawn, tables, ask, ...options })
}

/** First those of a program, then those that were registered. */
function joined(one: Hooks, other: Hooks): Hooks {
  return {
    prerouting: [...(one.prerouting ?? []), ...(other.prerouting ?? [])],
    forward: [...(one.forward ?? []), ...(other.forward ?? [])],
    postrouting: [...(one.postrouting ?? []), ...(other.postrouting ?? [])],
  }
}
