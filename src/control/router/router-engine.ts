import {
  createTurn,
  type Engine,
  type StageStatistics,
  startEngine,
  startWorkers,
  type WorkerHost,
  type Workers,
} from '../../engine/index.js'
import type { Code, Pool, Space } from '../../memory/index.js'
import type { RoutesPlace } from '../../route/index.js'
import { createSharedQueue, packetsInQueue } from '../../transmit/index.js'
import { createClosers } from '../closers.js'
import { remedied } from '../remedy.js'
import { asksBytes, hearAsks } from './asks.js'
import type { Hooks } from './draw.js'
import type { Listener } from './listeners.js'
import type { Mirror } from './mirror.js'
import { portStatistics } from './port-counters.js'
import { ringSlots, SHARED_SLOTS } from './router-memory.js'
import { drawForwarding, keepsQueue, planFor, type RouterSettings, sharesOf } from './router-plan.js'

/** What forwards the packets of a router: workers in threads of their own, or an engine in this one. */
export interface RouterEngine {
  /** For `serveEngine`. */
  readonly served: Engine | Workers<RouterSettings>
  stages(): readonly StageStatistics[]
  /** The tables have changed: what waits may have its answer. */
  wake(): void
  /** Resolves when the graph has these at its hooks; rejects with why it stayed as it was. */
  listen(listeners: readonly Listener[]): Promise<void>
  /** Rejects with what the engine of this thread has thrown. */
  readonly failed: Promise<never>
  close(): Promise<void>
}

/** What an engine of either kind is made of. */
export interface EngineParts extends Omit<RouterSettings, 'tables' | 'asks' | 'workers' | 'shared'> {
  readonly space: Space
  readonly code: Code
  readonly pool: Pool
  readonly tables: RoutesPlace
  readonly mirror: Mirror
  /** Packets that a port's policy has dropped because nobody had the socket of their queue. */
  readonly withoutSocket: (port: number) => number
  /** Memory of each worker. */
  readonly partBytes: number
}

/** Starts `count` workers; `warn` hears of each that ends without having been told to. Rejects where one cannot start. */
export async function startRouterWorkers(
  parts: EngineParts,
  count: number,
  warn: (sentence: string) => void,
): Promise<RouterEngine> {
  const { space, code, pool, tables, mirror, partBytes, withoutSocket, ...forwarding } = parts
  const { offset } = space.reserve({ name: 'router asks', kind: 'state', bytes: asksBytes(count) })
  const place = { address: tables.address, ports: tables.ports }
  // Each port has one queue, whose worker sends; the others hand it what they have.
  const hasShared = parts.queue !== undefined && count > 1
  const shared = parts.ports.flatMap(({ device: { name } }) =>
    hasShared ? [createSharedQueue(space, `before ${name}`, { slots: SHARED_SLOTS, producers: count })] : [],
  )
  const places = shared.map(({ close: _, ...queue }) => queue)
  const settings: RouterSettings = { ...forwarding, tables: place, asks: offset, workers: count, shared: places }
  let isStarted = false
  const workers = await startWorkers(planFor(count, parts.track > 0), space, code, pool, {
    slots: ringSlots(count),
    settings,
    partBytes,
    underWay: () => places.flatMap((queue) => [...packetsInQueue(space, queue)]),
    // One that cannot start is not started again: its error is that of the router.
    onEnd: (name, { message }) =>
      isStarted && warn(`${name} of the router has ended (${message}) and is started again`),
  }).catch((error: Error) => {
    throw new Error(remedied(error.message), { cause: error })
  })
  isStarted = true
  const asks = hearAsks(space, code, offset, count, mirror.ask)
  const statistics = () =>
    workers.statistics().map((each, worker) => {
      const ports = sharesOf(parts.ports, count, worker)
      const keeps = (port: number) => keepsQueue(port, count, worker)
      return { ...each, stages: [...each.stages, ...portStatistics(space, ports, withoutSocket, keeps)] }
    })
  return {
    served: { ...workers, statistics },
    stages: () => statistics().flatMap(({ stages }) => stages),
    wake: workers.wake,
    listen: (listeners) => workers.change({ ...settings, listeners }),
    failed: new Promise(() => {}),
    async close() {
      asks.close()
      await workers.close()
      for (const queue of shared) queue.close()
      space.free('router asks')
    },
  }
}

/** Starts an engine in this thread, where hooks can be anything; it forwards when nothing else is to be done. */
export function startRouterHere(parts: EngineParts, hooks: Hooks | undefined): RouterEngine {
  const { space, code, tables, mirror } = parts
  const { later, add, close } = createClosers()
  try {
    const pool = later(parts.pool.openWorker('router'))
    const kept = new Map<string, { close?(): void }>()
    const asked = new Set<string>()
    add(() => {
      for (const thing of [...kept.values()].toReversed()) thing.close?.()
    })
    const keep: WorkerHost['keep'] = (name, make) => {
      const thing = (kept.get(name) as ReturnType<typeof make> | undefined) ?? make()
      kept.set(name, thing)
      asked.add(name)
      return thing
    }
    const drawnWith = (listeners: readonly Listener[]) =>
      drawForwarding({ space, code, pool }, { ...parts, tables, listeners }, keep, mirror.ask, hooks)
    const engine = later(startEngine(space, code, pool, drawnWith(parts.listeners), { name: 'router' }))
    const statistics = () => [...engine.statistics(), ...portStatistics(space, parts.ports, parts.withoutSocket)]
    let wake = () => {}
    const running = run(engine, () => new Promise<void>((resolve) => (wake = resolve)))
    return {
      served: { ...engine, statistics },
      stages: statistics,
      wake: () => wake(),
      async listen(listeners) {
        asked.clear()
        engine.change(drawnWith(listeners))
        // As a worker does it: what the graph is drawn without goes.
        for (const [name, thing] of kept) {
          if (asked.has(name)) continue
          kept.delete(name)
          thing.close?.()
        }
      },
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
