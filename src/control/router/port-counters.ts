import { XDP_REASONS } from '../../device/index.js'
import type { StageStatistics } from '../../engine/index.js'
import { type Space, TRAFFIC_BYTES, TRAFFIC_DROPS, TRAFFIC_SENT_PACKETS } from '../../memory/index.js'
import { QUEUE_REASONS, type QueueStatistics, readQueue, TOLD_QUEUE_BYTES } from '../../transmit/index.js'
import type { CountedSockets } from './port.js'

const REGION = 'router ports'
/** Why a port loses what was to be routed while nobody has its queue's socket. */
const NO_WORKER = 'no worker'
/** Begins the names of the stages that ports are shown as. */
export const PORT = 'port '

/** Where the counters of a port lie, those of its device's queues behind those of what stands before it, in memory of no worker: so they stay and count on when one is started again. */
export interface PortPlace {
  /** Address of what the queue before the port tells (`readQueue`). */
  readonly waiting: number
  /** Of those of each queue of the device, TRAFFIC_BYTES each, by the queue's number. */
  readonly queues: readonly number[]
}

/** Memory for the counters of ports with so many queues each. */
function portCountersBytes(queues: readonly number[]): number {
  return queues.reduce((sum, count) => sum + TOLD_QUEUE_BYTES + count * TRAFFIC_BYTES, 0)
}

/** Reserves the counters of ports with so many queues each, zeroed; `close` gives them back. Throws LayoutError. */
export function openPortCounters(
  space: Space,
  queues: readonly number[],
): { readonly places: readonly PortPlace[]; close(): void } {
  const { offset } = space.reserve({ name: REGION, kind: 'counters', bytes: portCountersBytes(queues) })
  let next = offset
  const places = queues.map((count): PortPlace => {
    const waiting = next
    const first = waiting + TOLD_QUEUE_BYTES
    next = first + count * TRAFFIC_BYTES
    return { waiting, queues: Array.from({ length: count }, (_, queue) => first + queue * TRAFFIC_BYTES) }
  })
  return { places, close: () => space.free(REGION) }
}

/** What has become of the packets that were handed to ports, and what was lost before the router had it, as of a stage `port NAME` each, with what a queue before it lost, and its policy (`withoutSocket`), where that is kept; read from any thread. */
export function portStatistics(
  { counters }: Space,
  ports: readonly CountedSockets[],
  withoutSocket: (port: number) => number,
  keepsQueue: (port: number) => boolean = () => true,
): StageStatistics[] {
  const count = (reasons: readonly string[], at: number, drops: Record<string, number>) => {
    for (const [order, reason] of reasons.entries()) drops[reason] = (drops[reason] ?? 0) + counters[at / 8 + order]!
  }
  return ports.map(({ device: { name }, queues, counters: { waiting, queues: places } }, port): StageStatistics => {
    const drops: Record<string, number> = {}
    let packets = 0
    if (keepsQueue(port)) {
      count(QUEUE_REASONS, waiting, drops)
      drops[NO_WORKER] = withoutSocket(port)
    }
    for (const queue of queues) {
      packets += counters[(places[queue]! + TRAFFIC_SENT_PACKETS) / 8]!
      count(XDP_REASONS, places[queue]! + TRAFFIC_DROPS, drops)
    }
    const untold = { bundles: 0, packetsPerBundle: 0, watched: { packets: 0, ms: 0 }, nanosecondsPerPacket: null }
    return { name: `${PORT}${name}`, packets, drops, ...untold }
  })
}

/** What waits before a port, and what its queue has done. */
export interface PortQueue extends QueueStatistics {
  /** The port's device. */
  readonly name: string
}

/** Of each port, from any thread. */
export function portQueues(space: Space, ports: readonly CountedSockets[]): PortQueue[] {
  return ports.map(({ device: { name }, counters: { waiting } }) => ({ name, ...readQueue(space, waiting) }))
}
