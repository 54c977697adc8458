import {
  createTurn,
  type Engine,
  type StageStatistics,
  startEngine,
  startWorkers,
  type WorkerHost,
  type Workers,
} from '../../engine/index.js'
import { BUNDLE_BYTES, type Code, type Pool, type Space } from '../../memory/index.js'
import type { RoutesPlace } from '../../route/index.js'
import { asksBytes, hearAsks } from './asks.js'
import type { Hooks } from './draw.js'
import type { Mirror } from './mirror.js'
import type { PortSockets } from './port.js'
import { portStatistics } from './port-counters.js'
import { drawForwarding, flowsOfEach, planFor, type RouterSettings, sharesOf } from './router-plan.js'

/** What forwards the packets of a router: workers in threads of their own, or an engine in this one. */
export interface RouterEngine {
  /** For `serveEngine`. */
  readonly served: Engine | Workers<RouterSettings>
  stages(): readonly StageStatistics[]
  /** The tables have changed: what waits may have its answer. */
  wake(): void
  /** Rejects with what the engine of this thread has thrown. */
  readonly failed: Promise<never>
  close(): Promise<void>
}

/** What an engine of either kind is made of. */
export interface EngineParts extends Omit<RouterSettings, 'tables' | 'asks' | 'workers'> {
  readonly space: Space
  readonly code: Code
  readonly pool: Pool
  readonly tables: RoutesPlace
  readonly mirror: Mirror
  /** Memory of each worker. */
  readonly partBytes: number
}

/** For the stages of a worker, beside its rings and flows. */
const PART_BYTES = 2 << 20
/** Of the four rings of a queue. */
const RING_BYTES_AN_ENTRY = 64
/** What a queue notes of each frame that the kernel may have. */
const NOTED_BYTES_A_FRAME = 8
/** Of an output to another worker, with its share of a ring's ends. */
const OUTPUT_BYTES = BUNDLE_BYTES + 512
/** What a flow takes, with its share of a table that is half empty. */
const FLOW_MOST_BYTES = 256

/** Packets that may wait before a port, and their share of what keeps them. */
const QUEUE_BYTES = 1 << 20

/** Packets that wait for a worker at most, of all others together. */
const HANDED_OVER = 2048
const LEAST_SLOTS = 128

/** Packets that a ring from one of so many workers to another holds. */
export function ringSlots(workers: number): number {
  return Math.max(LEAST_SLOTS, 2 ** Math.ceil(Math.log2(HANDED_OVER / Math.max(1, workers - 1))))
}

/** Memory of one of so many workers, where the pool has so many frames. */
export function partBytes(
  { ports, track, queue }: Pick<EngineParts, 'track' | 'queue'> & { readonly ports: readonly PortSockets[] },
  workers: number,
  frames: number,
): number {
  const own = ports.map(({ queues, entries }) => ({ queues: Math.ceil(queues.length / workers), entries }))
  const sockets = own.reduce(
    (sum, { queues, entries }) => sum + queues * (entries * RING_BYTES_AN_ENTRY + frames * NOTED_BYTES_A_FRAME),
    0,
  )
  const queues = queue === undefined ? 0 : ports.length * QUEUE_BYTES
  const toOthers = track === 0 ? 0 : ports.length * workers * OUTPUT_BYTES
  return PART_BYTES + toOthers + sockets + flowsOfEach(track, workers) * FLOW_MOST_BYTES + queues
}

/** Starts `count` workers; `warn` hears of each that ends without having been told to. Rejects where one cannot start. */
export async function startRouterWorkers(
  parts: EngineParts,
  count: number,
  warn: (sentence: string) => void,
): Promise<RouterEngine> {
  const { space, code, pool, tables, mirror, partBytes, ...forwarding } = parts
  const { offset } = space.reserve({ name: 'router asks', kind: 'state', bytes: asksBytes(count) })
  const place = { address: tables.address, ports: tables.ports }
  const workers = await startWorkers(planFor(count, parts.track > 0), space, code, pool, {
    slots: ringSlots(count),
    settings: { ...forwarding, tables: place, asks: offset, workers: count },
    partBytes,
    onEnd: (name, { message }) => warn(`${name} of the router has ended (${message}) and is started again`),
  })
  const asks = hearAsks(space, code, offset, count, mirror.ask)
  const statistics = () =>
    workers.statistics().map((each, worker) => {
      const ports = sharesOf(parts.ports, count, worker)
      return { ...each, stages: [...each.stages, ...portStatistics(space, ports)] }
    })
  return {
    served: { ...workers, statistics },
    stages: () => statistics().flatMap(({ stages }) => stages),
    wake: workers.wake,
    failed: new Promise(() => {}),
    async close() {
      asks.close()
      await workers.close()
      space.free('router asks')
    },
  }
}

/** Starts an engine in this thread, where hooks can be anything; it forwards when nothing else is to be done. */
export function startRouterHere(parts: EngineParts, hooks: Hooks | undefined): RouterEngine {
  const { space, code, tables, mirror } = parts
  const closers: (() => void)[] = []
  const later = <T extends object>(thing: T): T => {
    closers.push(() => (thing as { close?(): void }).close?.())
    return thing
  }
  const close = () => {
    for (const closeOne of closers.toReversed()) closeOne()
  }
  try {
    const pool = later(parts.pool.openWorker('router'))
    const keep: WorkerHost['keep'] = (_, make) => later(make())
    const drawn = drawForwarding({ space, code, pool }, { ...parts, tables }, keep, mirror.ask, hooks)
    const engine = later(startEngine(space, code, pool, drawn, { name: 'router' }))
    const statistics = () => [...engine.statistics(), ...portStatistics(space, parts.ports)]
    let wake = () => {}
    const running = run(engine, () => new Promise<void>((resolve) => (wake = resolve)))
    return {
      served: { ...engine, statistics },
      stages: statistics,
      wake: () => wake(),
      failed: running.ended.then(() => new Promise(() => {})),
      async close() {
        running.stop()
        wake()
        await running.ended.catch(() => {})
        close()
      },
    }
  } catch (error) {
    close()
    throw error
  }
}

const WAIT_MS = 1000

function run(engine: Engine, woken: () => Promise<void>) {
  let isOpen = true
  const turn = createTurn(engine)
  const loop = async () => {
    await nextTurn()
    while (isOpen) {
      if (turn()) await nextTurn()
      else await Promise.race([engine.wait(WAIT_MS), woken()])
    }
  }
  return {
    ended: loop(),
    stop() {
      isOpen = false
    },
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
