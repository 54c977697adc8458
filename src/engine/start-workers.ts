import { closeNoted, openEvent, takeUpClaim, waitForGrants, wholePages } from '../kernel/index.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  type Code,
  type Layout,
  MOST_DESCRIPTORS,
  type Pool,
  type Region,
  type Space,
  WORKER_BYTES,
  WORKER_DESCRIPTORS,
  WORKER_QUEUES,
  type WorkerPool,
} from '../memory/index.js'
import { beforeExit } from './before-exit.js'
import { openBell, openWake } from './bell.js'
import type { Device } from './device.js'
import type { EngineOptions } from './engine.js'
import { noEdge } from './graph.js'
import { type Plan, ringsOf } from './plan.js'
import { createRing, packetsUnderWay, type Ring } from './ring.js'
import type { Publish } from './ring-device.js'
import { type SupervisedWorker, superviseWorker, type WorkerStatistics } from './supervised-worker.js'
import type { Trace } from './trace.js'
import { MAIN, openHost } from './worker-host.js'
import type { PlannedRing, WorkerCapture } from './worker-thread.js'
import { openWorkersTrace, type WorkersTrace, type WorkersTraceOptions } from './workers-trace.js'

/** How long a process that ends waits for its workers; one that hangs is at work, and may be ended anywhere. */
const LEAVE_MS = 1000

/** How one worker runs. */
export interface WorkerPlacement extends Omit<EngineOptions, 'name'> {
  /** The CPU that its thread keeps to; any where it is not said. */
  readonly cpu?: number
  /**
   * How long it looks for packets before it waits, in microseconds; 0 where it is
   * not said. Waking takes some 50 µs or more, and spinning takes the core.
   */
  readonly spinUs?: number
}

export interface WorkersOptions<Settings> {
  readonly settings: Settings
  /** By name of the worker. */
  readonly placement?: Readonly<Record<string, WorkerPlacement>>
  /** Slots of each ring, rounded up to a power of two; 1024 where it is not said. */
  readonly slots?: number
  /** Memory for the stages of each worker, in bytes; 1 MiB where it is not said. */
  readonly partBytes?: number
  /** How long a worker may stay in one round before it counts as hanging, and is ended; 5000 where it is not said. */
  readonly stallMs?: number
  /** `packet` publishes each packet by itself, for comparison. */
  readonly publish?: Publish
  /**
   * Addresses of packets that workers have put where others will take them from,
   * beside the plan's rings (`packetsInQueue` of a shared queue): those stay
   * there when the worker that has put them there is ended.
   */
  readonly underWay?: () => Iterable<number>
  /**
   * A worker's thread has ended and nobody has told it to. When this returns,
   * what it had open of the kernel is closed, and its frames go back to the pool.
   * Also told of an error for which frames stay that the kernel had let go of later.
   */
  readonly onEnd?: (name: string, error: Error) => void
}

export interface WorkersCaptureOptions extends Omit<WorkerCapture, 'edge'> {
  /** Begins the names of regions and of a stage: unique among captures. */
  readonly name: string
  /** Called when it has ended in the worker, and nothing uses the matcher any more. */
  readonly ended?: () => void
}

/** Workers at work, as the thread that started them sees them. */
export interface Workers<Settings> {
  /** That thread's own side of the pool. */
  readonly pool: WorkerPool
  /** The plan's rings from and to that thread. */
  to(worker: string): Device
  from(worker: string): Device
  /**
   * Lets each worker draw its graph for other settings; stages that are the same
   * keep their state. Rejects with the error of a worker whose graph stayed.
   */
  change(settings: Settings): Promise<void>
  /**
   * Follows packets from where they come into a worker, through rings to others,
   * until there were as many as asked for. Throws an error where a trace is at
   * work, and LayoutError.
   */
  trace(options: WorkersTraceOptions): Trace
  /**
   * Copies what passes an edge, `WORKER: STAGE.OUTPUT` or `WORKER: receive DEVICE`,
   * into a log, until what it gives is called; also in a worker that is started again.
   * Throws GraphError where there is no such edge.
   */
  capture(edge: string, options: WorkersCaptureOptions): () => void
  /** Each has a round that begins after this, at once: what a stage looks at beside its packets has changed. */
  wake(): void
  /** Measures time a packet while it is on. */
  watch(isOn: boolean): void
  /** Read from the shared memory: the workers do not notice. */
  statistics(): readonly WorkerStatistics[]
  /** What the whole memory is used for: behind the part of each worker what stands in it, with its name in front. */
  layout(): Layout
  /** Ends a worker's thread wherever it is; it is started again. */
  kill(name: string): void
  /** Lets all finish their round and end. Every frame is back in the pool then, or held by the kernel (`Pool.balance`) and back when it lets go. */
  close(): Promise<void>
}

/** How long the next thread waits for the kernel to let go of the queues of one that has ended; it usually takes 20 to 45 ms. */
const LET_GO_MS = 5000

/** Several for each of 64 workers. */
const MOST_LISTENERS = 256

/**
 * Starts a thread for each worker of the plan, over the memory of `space` and
 * with rings between them. A thread that throws, is killed or hangs is started
 * again over the same rings; what it had open of the kernel is closed, and its
 * frames go back to the pool; the others go on. Rejects where a worker cannot start. Throws LayoutError.
 */
export async function startWorkers<Settings>(
  plan: Plan<Settings>,
  space: Space,
  code: Code,
  pool: Pool,
  options: WorkersOptions<Settings>,
): Promise<Workers<Settings>> {
  const { slots = 1024, partBytes = 1 << 20, stallMs = 5000, publish = 'bundle', placement = {} } = options
  const reserved: string[] = []
  const reserve = (name: string, kind: 'worker' | 'counters' | 'bundle', bytes: number, alignment = 64) => {
    const region = space.reserve({ name, kind, bytes, alignment })
    reserved.push(region.name)
    return region
  }
  const controls = new Map(
    [MAIN, ...Object.keys(plan.workers)].map((name) => [
      name,
      reserve(`worker ${name} control`, 'counters', WORKER_BYTES).offset,
    ]),
  )
  const events = new Map(Object.keys(plan.workers).map((name) => [name, openEvent()]))
  const opened: Ring[] = []
  const rings = ringsOf(plan).map(([from, to]): PlannedRing => {
    const bell = controls.get(to)
    if (bell === undefined) throw new Error(`worker ${from} sends to ${to}, which the plan does not have`)
    const ring = createRing(space, code, `ring ${from} to ${to}`, slots)
    opened.push(ring)
    const event = events.get(to)?.fd
    return { from, to, bell, ...(event !== undefined && { event }), publish, address: ring.address, slots: ring.slots }
  })
  const mainPool = pool.openWorker(MAIN)
  const host = openHost({ name: MAIN, rings }, space, code, mainPool, openBell(space, code, controls.get(MAIN)!))
  const wakes = Object.keys(plan.workers).map((name) =>
    openWake(space, code, controls.get(name)!, events.get(name)!.fd),
  )
  // Node has each thread listen at the process's own streams, and takes more than ten listeners for a leak.
  for (const stream of [process.stdout, process.stderr])
    stream.setMaxListeners(Math.max(stream.getMaxListeners(), MOST_LISTENERS))
  const pools: WorkerPool[] = []
  let trace: WorkersTrace | null = null

  const workers = Object.keys(plan.workers).map((name): SupervisedWorker<Settings> => {
    const { cpu = null, spinUs = 0, ...engine } = placement[name] ?? {}
    // Whole pages, so that all of it can be covered when its thread has ended.
    const part = reserve(`worker ${name}`, 'worker', wholePages(partBytes), wholePages(1))
    const control = controls.get(name)!
    const descriptors = new Int32Array(space.memory.buffer, control + WORKER_DESCRIPTORS, MOST_DESCRIPTORS)
    const queues = new Int32Array(space.memory.buffer, control + WORKER_QUEUES, 2 * MOST_DESCRIPTORS)
    const side = pool.openWorker(name)
    pools.push(side)
    const own = rings.filter((ring) => ring.from === name || ring.to === name)
    return superviseWorker(
      space,
      {
        url: plan.url,
        name,
        memory: space.memory,
        isChecked: code.checked,
        part: { offset: part.offset, bytes: part.bytes },
        control,
        event: events.get(name)!.fd,
        pool: {
          address: side.address,
          number: side.number,
          frames: side.frames,
          framesEnd: side.framesEnd,
          kernel: side.kernel,
        },
        rings: own,
        spinUs,
        engine: { ...engine, name },
      },
      options.settings,
      {
        cpu,
        stallMs,
        async reclaim() {
          // First what the kernel might still write into, or send from.
          const ofPart = { at: part.offset, lengthBytes: part.bytes }
          const claims = closeNoted(descriptors, queues, space.memory, ofPart).map(takeUpClaim)
          if (await waitForGrants(claims, LET_GO_MS)) return pool.reclaim(side, underWay(own))
          const left = pool.leaveToKernel(side, underWay(own))
          // Also when all is closed: the pool is there as long as anybody has frames of it, and nothing else waits for these.
          waitForGrants(claims)
            .then(left.letGo)
            .catch((error: Error) => options.onEnd?.(name, error))
          return left.frames
        },
        followed: (id, parts) => trace?.add(name, id, parts),
        ended: (error) => options.onEnd?.(name, error),
      },
    )
  })

  function* underWay(own: readonly PlannedRing[]): Generator<number> {
    for (const ring of own) yield* packetsUnderWay(space, ring)
    if (options.underWay !== undefined) yield* options.underWay()
  }

  const stay = beforeExit(() => {
    const end = performance.now() + LEAVE_MS
    for (const wait of workers.map((worker) => worker.leave())) wait(Math.max(0, end - performance.now()))
  })

  async function close(): Promise<void> {
    await Promise.all(workers.map((worker) => worker.stop()))
    stay()
    host.close()
    const bundle = reserve('workers close', 'bundle', BUNDLE_BYTES).offset
    for (const ring of opened) {
      for (let count = ring.pull(bundle, slots); count > 0; count = ring.pull(bundle, slots)) {
        mainPool.give(bundle + BUNDLE_DESCRIPTORS, count)
        space.words[bundle / 4] = 0
      }
      ring.close()
    }
    for (const each of [...pools, mainPool]) each.close()
    for (const event of events.values()) event.close()
    for (const name of reserved) space.free(name)
  }

  try {
    await Promise.all(workers.map((worker) => worker.start()))
  } catch (error) {
    await close()
    throw error
  }
  return {
    pool: mainPool,
    to: host.to,
    from: host.from,
    async change(settings) {
      // All have answered then: what the graphs of before needed may go.
      const answers = await Promise.allSettled(workers.map((worker) => worker.change(settings)))
      for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
    },
    trace(options) {
      if (trace !== null) throw new Error('the workers are traced already; stop the other trace, or wait for its end')
      trace = openWorkersTrace(space, workers, options, () => {
        trace = null
      })
      return trace
    },
    capture(edge, { name, ended, ...rest }) {
      const all = workers.flatMap((worker) => worker.edges().map((each) => ({ worker, edge: each })))
      const nameOf = (each: (typeof all)[number]) => `${each.worker.name}: ${each.edge}`
      const found = all.find((each) => nameOf(each) === edge)
      if (found === undefined) throw noEdge(edge, all.map(nameOf))
      void found.worker.capture(name, { edge: found.edge, ...rest })
      return () => void found.worker.capture(name, null).then(ended)
    },
    wake() {
      for (const wake of wakes) wake()
    },
    watch(isOn) {
      for (const worker of workers) worker.watch(isOn)
    },
    statistics: () => workers.map((worker) => worker.statistics()),
    layout() {
      const whole = space.layout()
      const inPart = new Map(workers.map((worker) => [`worker ${worker.name}`, worker]))
      return { ...whole, regions: whole.regions.flatMap((region) => [region, ...partOf(inPart.get(region.name))]) }
    },
    kill: (name) => workers.find((worker) => worker.name === name)?.kill(),
    close,
  }
}

/** What stands in the part of a worker; its engine's regions begin with its name already. */
function partOf<Settings>(worker: SupervisedWorker<Settings> | undefined): Region[] {
  if (worker === undefined) return []
  const own = `${worker.name} `
  const plain = (name: string) => (name.startsWith(own) ? name.slice(own.length) : name)
  return worker.regions().map((region) => ({ ...region, name: `${worker.name}: ${plain(region.name)}` }))
}
