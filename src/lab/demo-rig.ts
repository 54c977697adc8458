import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import {
  getAffinity,
  KernelError,
  mapId,
  pinProcess,
  placeNapi,
  readStatistics,
  setPolicy,
  writeDeviceAttribute,
} from '../kernel/index.js'
import { type LoadedMap, loadProgram } from '../loader/index.js'
import { nextMessage } from './child.js'
import type { MeasureProgress, MeasureRequest, MeasureResult } from './client-orders.js'
import type { CorePlan } from './demo-phase.js'
import { type FloodGenerator, openFloodGenerator } from './flood.js'
import type { FloodSpec } from './flood-frame.js'
import type { FloodConsumer } from './flood-orders.js'
import { floodProgram } from './flood-program.js'
import { createNetwork, type LabNetwork, receiveThroughNapi } from './network.js'

/** The network with everything that runs in it: generator, service and client, each in its namespace. */
export interface DemoRig {
  readonly network: LabNetwork
  readonly generator: FloodGenerator
  readonly cores: CorePlan
  readonly notes: readonly string[]
  /** Asks the service for `durationMs` and waits for the last answer. */
  measure(durationMs: number, onProgress?: (progress: MeasureProgress) => void): Promise<MeasureResult>
  /** With a counter of what the victim took from its ring, the generator holds back while it stands still. */
  startFlood(packetsPerSecond: number, seconds: number, counter: LoadedMap | null): void
  counters(): RigCounters
  close(): void
}

/** Totals since the devices were made. */
export interface RigCounters {
  /** Flood frames that found a slot in the victim's ring. */
  readonly reached: number
  readonly ringLoss: number
  /** CPU time of the victim's receive thread; null where it has none. */
  readonly victimCpuMs: number | null
}

const SERVICE_PORT = 8080
const REQUESTS_PER_SECOND = 100
/** Long enough for one lost SYN to be sent again (RFC 6298: after one second), as a person would wait. */
const REQUEST_TIMEOUT_MS = 2000
const NAPI_PRIORITY = 10
/** The generator gives way at once when the service or its client have something to do. */
const GENERATOR_NICE = 19
const CLOCK_TICK_MS = 10
/** RFC 2544 benchmark addresses: if one ever leaked, it would go nowhere. */
const FLOOD_SOURCES = { address: '198.18.0.0', length: 15 }

/** Builds the rig. Throws where the kernel refuses a namespace or a device; leaves nothing then. */
export async function openDemoRig(): Promise<DemoRig> {
  const network = createNetwork()
  try {
    // Whoever may not load programs shall know it now, not in the middle of the flood.
    loadProgram(floodProgram(floodSpec(network))).close()
    const cores = planCores()
    const placement = placeNapi(network.victim.namespace, network.victim.device.name, {
      cpus: [cores.victim],
      scheduling: { policy: 'fifo', priority: NAPI_PRIORITY },
    })
    const notes = [
      ...describeLeftovers(network),
      ...describeCores(cores),
      ...placement.problems,
      ...handOverByTimer(network),
    ]
    const unpin = pinProcess(cores.client)
    const start = (host: Parameters<LabNetwork['spawn']>[0], name: string, core: number, args: string[] = []) =>
      network.spawn(host, new URL(`./${name}-process.js`, import.meta.url), args, { cpus: [core] })

    const flood = start(network.router, 'flood', cores.generator)
    const service = start(network.victim, 'service', cores.service, [String(SERVICE_PORT)])
    const client = start(network.client, 'client', cores.client)
    const [generator] = await Promise.all([
      openFloodGenerator(flood),
      nextMessage(service, 'ready'),
      nextMessage(client, 'ready'),
    ])
    setPolicy(flood.pid!, { policy: 'other', nice: GENERATOR_NICE })
    return makeRig({ network, generator, client, cores, notes, threads: placement.threads, unpin })
  } catch (error) {
    network.close()
    throw error
  }
}

interface RigParts extends Pick<DemoRig, 'network' | 'generator' | 'cores' | 'notes'> {
  readonly client: ChildProcess
  /** The victim's receive threads. */
  readonly threads: readonly number[]
  readonly unpin: () => void
}

function makeRig({ network, generator, client, cores, notes, threads, unpin }: RigParts): DemoRig {
  const { victim, router } = network
  const flooded = router.towardsVictim
  return {
    network,
    generator,
    cores,
    notes,
    measure(durationMs, onProgress) {
      const request: MeasureRequest = {
        kind: 'measure',
        host: victim.device.ipv4,
        port: SERVICE_PORT,
        durationMs,
        requestsPerSecond: REQUESTS_PER_SECOND,
        timeoutMs: REQUEST_TIMEOUT_MS,
      }
      client.send(request)
      return nextMessage<MeasureResult>(client, 'result', (message) => {
        if (message.kind === 'progress') onProgress?.(message as MeasureProgress)
      })
    },
    startFlood(packetsPerSecond, seconds, counter) {
      const consumer = counter === null ? {} : { consumer: consumerOf(counter, cores.victim) }
      const spec = floodSpec(network)
      generator.start({ spec, interfaceIndex: flooded.index, packetsPerSecond, seconds, ...consumer })
    },
    counters() {
      const statistics = readStatistics(flooded.name, router.namespace)
      return {
        reached: statistics.get('tx_queue_0_xdp_xmit') ?? 0,
        ringLoss: statistics.get('tx_queue_0_xdp_xmit_errors') ?? 0,
        victimCpuMs: threads.length === 0 ? null : threads.reduce((sum, thread) => sum + cpuTimeMs(thread), 0),
      }
    },
    close() {
      network.close()
      unpin()
    },
  }
}

/**
 * The victim's packets on one core, everything else on another, so that what
 * is measured is the defence and not the generator's own core.
 */
function planCores(): CorePlan {
  const [first, second] = getAffinity(0)
  return { generator: first!, victim: second ?? first!, service: first!, client: first! }
}

function describeCores({ generator, victim }: CorePlan): string[] {
  return generator === victim
    ? ['this process may use one core only, so the flood and the defence compete for it: give it two']
    : []
}

function describeLeftovers({ removedLeftovers: { length } }: LabNetwork): string[] {
  return length === 0 ? [] : [`${length} processes that an earlier run had left were ended, and with them its network`]
}

const HAND_OVER_NS = 1_000_000
const NEVER_BY_INTERRUPT = 2 ** 31 - 1

/**
 * Lets the router fetch the client's packets by a timer, once a millisecond.
 * Client and generator share a core: where a packet went on at once, the
 * generator would stand still for just the moment in which it enters the
 * flooded ring, which flatters every defence, none at all included.
 * Returns what could not be done.
 */
function handOverByTimer({ client, router }: LabNetwork): string[] {
  const device = router.towardsClient.name
  try {
    receiveThroughNapi(
      { namespace: router.namespace, name: device },
      { namespace: client.namespace, name: client.device.name },
    )
    writeDeviceAttribute(router.namespace, device, 'napi_defer_hard_irqs', NEVER_BY_INTERRUPT)
    writeDeviceAttribute(router.namespace, device, 'gro_flush_timeout', HAND_OVER_NS)
    return []
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    return [`the client's packets cannot be handed over by a timer, so its losses are too low (${error.message})`]
  }
}

function consumerOf({ fd, spec }: LoadedMap, cpu: number): FloodConsumer {
  return { mapId: mapId(fd), cpu, valueBytes: spec.valueBytes, maxEntries: spec.maxEntries }
}

function floodSpec({ router, victim }: LabNetwork): FloodSpec {
  return {
    kind: 'syn',
    sourceMac: router.towardsVictim.mac,
    destinationMac: victim.device.mac,
    destination: victim.device.ipv4,
    port: SERVICE_PORT,
    sources: FLOOD_SOURCES,
    bytes: { least: 60, most: 60 },
  }
}

/** User and system time of a thread: fields 14 and 15 of /proc/PID/stat, proc(5). */
function cpuTimeMs(tid: number): number {
  const stat = readFileSync(`/proc/${tid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS
}
