import { workerData } from 'node:worker_threads'
import type { Code, Space, WorkerPool } from '../memory/index.js'
import type { Device } from './device.js'
import type { Graph } from './graph.js'
import { MAIN } from './worker-host.js'
import { runWorker, type WorkerStart } from './worker-thread.js'

/** What a worker draws its graph with. */
export interface WorkerHost {
  readonly name: string
  /** The worker's part of the memory. */
  readonly space: Space
  readonly code: Code
  readonly pool: WorkerPool
  /** Sends to the worker of that name. Throws GraphError where the plan has no such ring. */
  to(worker: string): Device
  /** Receives what the worker of that name sends here. */
  from(worker: string): Device
  /**
   * What `make` returns, made once: devices and matchers, which are to be the
   * same when the graph is drawn again. What is not asked for then is closed.
   */
  keep<T extends object>(name: string, make: () => T): T
}

/** One worker of a plan: whom it sends to, and its graph. */
export interface WorkerDraft<Settings> {
  readonly to?: readonly string[]
  /** Called in the worker's thread when it starts, and again with each new settings. */
  graph(host: WorkerHost, settings: Settings): Graph
}

/** Workers and the rings between them: who sends to whom. */
export interface Plan<Settings> {
  readonly url: string
  readonly workers: Readonly<Record<string, WorkerDraft<Settings>>>
  /** The thread that starts them, called `main`, has these rings to them. */
  readonly fromMain: readonly string[]
}

/**
 * Several workers as one drawing, in a module of its own, which every thread
 * loads: the one that calls `startWorkers` for the plan's names and rings, and
 * each worker for its own function. `url` is the module's `import.meta.url`.
 * `Settings` is plain data, which threads can be sent.
 *
 *     export const plan = planWorkers<{ share: number }>(import.meta.url, {
 *       front: {
 *         to: ['left', 'right'],
 *         graph: ({ from, to }) =>
 *           draw([receive(from('main')), steer('flows', 2), send(to('left'))], ['flows.1', send(to('right'))]),
 *       },
 *       left: { to: ['main'], graph: ({ from, to }) => draw([receive(from('front')), count('left'), send(to('main'))]) },
 *       right: { to: ['main'], graph: ({ from, to }) => draw([receive(from('front')), count('right'), send(to('main'))]) },
 *     }, ['front'])
 */
export function planWorkers<Settings = undefined>(
  url: string,
  workers: Readonly<Record<string, WorkerDraft<Settings>>>,
  fromMain: readonly string[] = [],
): Plan<Settings> {
  const plan = { url, workers, fromMain }
  const start = (workerData as { readonly sluiceWorker?: WorkerStart<Settings> } | null)?.sluiceWorker
  // The rest of the module comes first: a graph may use what is defined below the plan.
  if (start?.url === url) setImmediate(() => runWorker(workers[start.name]!, start))
  return plan
}

/** The rings of a plan, as pairs of names. */
export function ringsOf({ workers, fromMain }: Plan<never>): readonly (readonly [from: string, to: string])[] {
  return [
    ...fromMain.map((to) => [MAIN, to] as const),
    ...Object.entries(workers).flatMap(([from, { to = [] }]) => to.map((name) => [from, name] as const)),
  ]
}
