import { type Graph, planWorkers, type WorkerDraft, type WorkerHost } from '../../engine/index.js'
import { type NatRule, openFlows } from '../../flow/index.js'
import type { ErrorsOptions, HoldOptions, RoutesPlace } from '../../route/index.js'
import { openQueue, type QueueOptions } from '../../transmit/index.js'
import { tellAsks } from './asks.js'
import { drawRouter, type Hooks } from './draw.js'
import { type CountedSockets, openQueues } from './port.js'

/** What the workers of a router start with. */
export interface RouterSettings {
  readonly ports: readonly CountedSockets[]
  readonly tables: RoutesPlace
  /** Where they tell what they wait for. */
  readonly asks: number
  /** Workers there are. */
  readonly workers: number
  /** Connections that are tracked at most. */
  readonly track: number
  /** What is translated of them. */
  readonly nat: readonly NatRule[]
  /** Address of a word for that of their table, where somebody looks at it from outside. */
  readonly flowsAt?: number
  readonly queue?: Pick<QueueOptions, 'discipline' | 'byteLimit' | 'doorbell'>
  readonly icmp?: ErrorsOptions
}

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
      `worker ${worker}`,
      { graph: (host, settings) => drawWorker(worker, host, settings) },
    ]),
  ),
)

function drawWorker(worker: number, host: WorkerHost, settings: RouterSettings) {
  const { space, code, keep } = host
  const { ports, asks, workers } = settings
  return drawForwarding(
    host,
    { ...settings, ports: sharesOf(ports, workers, worker) },
    keep,
    tellAsks(space, code, asks, worker),
  )
}

/** The ports with those of their queues that one of so many workers has. */
export function sharesOf(ports: readonly CountedSockets[], workers: number, worker: number): CountedSockets[] {
  return ports.map((port) => ({ ...port, queues: port.queues.filter((queue) => queue % workers === worker) }))
}

/** The graph that a thread forwards by; `keep` opens what is not there yet. */
export function drawForwarding(
  { space, code, pool }: Pick<WorkerHost, 'space' | 'code' | 'pool'>,
  { ports, tables, track, nat, flowsAt, queue, icmp }: Omit<RouterSettings, 'asks' | 'workers'>,
  keep: WorkerHost['keep'],
  ask: HoldOptions['ask'],
  hooks?: Hooks,
): Graph {
  const drawn = ports.map((port) => {
    const { name } = port.device
    const { queues: from } = keep(`sockets of ${name}`, () => openQueues(space, code, pool, port))
    const waits =
      queue &&
      keep(`queue before ${name}`, () =>
        openQueue(space, code, pool, from[0]!, { ...queue, drops: port.counters.waiting }),
      )
    return { name, from, to: waits ?? from[0]! }
  })
  const flows = track === 0 ? null : keep('flows', () => openFlows(space, code, 'router', { flows: track, nat }))
  if (flows && flowsAt !== undefined) Atomics.store(space.words, flowsAt / 4, flows.address)
  const options = { ...(flows && { flows }), ...(icmp && { icmp }), ...(hooks && { hooks }) }
  return drawRouter({ ports: drawn, tables, ask, ...options })
}
