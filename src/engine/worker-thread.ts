import { parentPort } from 'node:worker_threads'
import { noteDescriptors, pauseWatches } from '../kernel/index.js'
import {
  attachWorkerPool,
  type JudgePlace,
  loadCode,
  loadJudge,
  MOST_DESCRIPTORS,
  openPart,
  type Region,
  type Space,
  WORKER_ASKED,
  WORKER_BUSY,
  WORKER_DESCRIPTORS,
  WORKER_ENDS,
  WORKER_GENERATION,
  WORKER_QUEUES,
  WORKER_ROUNDS,
  WORKER_WAKES,
  type WorkerPoolPlace,
} from '../memory/index.js'
import { openBell } from './bell.js'
import { captureTo } from './capture-to.js'
import { type EngineOptions, startEngine } from './engine.js'
import { edgesOf } from './on-edges.js'
import type { StagePlace } from './open-stage.js'
import type { PacketLog } from './packet-log.js'
import type { WorkerDraft } from './plan.js'
import type { RingPlace } from './ring.js'
import type { Publish } from './ring-device.js'
import { openTracer, type TracePart, type TracePlace, type Tracer } from './trace.js'
import { createTurn } from './turn.js'
import { openHost } from './worker-host.js'

/** A ring between two workers, and the address of what the receiving one sleeps at. */
export interface PlannedRing extends RingPlace {
  readonly from: string
  readonly to: string
  readonly bell: number
  /** The descriptor that wakes it from poll(2); missing for the thread that starts workers. */
  readonly event?: number
  readonly publish: Publish
}

/** What a worker's thread is started with. */
export interface WorkerStart<Settings> {
  readonly url: string
  readonly name: string
  readonly memory: Space['memory']
  readonly isChecked: boolean
  /** The worker's part of the memory. */
  readonly part: { readonly offset: number; readonly bytes: number }
  /** Address of what it shows and is told. */
  readonly control: number
  /** What wakes it from poll(2): a descriptor of the thread that started it. */
  readonly event: number
  readonly pool: WorkerPoolPlace
  readonly rings: readonly PlannedRing[]
  readonly spinUs: number
  readonly engine: EngineOptions
  readonly settings: Settings
}

/** A trace of which a worker has a part. */
export interface WorkerTrace extends TracePlace {
  readonly matcher: JudgePlace
}

/** What is captured in a worker. */
export interface WorkerCapture {
  readonly edge: string
  readonly log: PacketLog
  /** Null: all packets. */
  readonly matcher: JudgePlace | null
}

/** To a worker. */
export type Order<Settings> =
  | { readonly kind: 'change'; readonly id: number; readonly settings: Settings }
  /** Null: the trace has ended. */
  | { readonly kind: 'trace'; readonly id: number; readonly trace: WorkerTrace | null }
  /** Null: the capture of that name has ended. */
  | { readonly kind: 'capture'; readonly id: number; readonly name: string; readonly capture: WorkerCapture | null }
  | { readonly kind: 'watch'; readonly isOn: boolean }
  | { readonly kind: 'stop' }
  /** To one that waits; one at work is ended from outside. */
  | { readonly kind: 'end' }

/** From a worker: what its graph is now, or why it stayed as it was; and what was followed. */
export type Answer =
  | {
      readonly kind: 'running'
      readonly id: number
      readonly generation: number
      readonly stages: readonly StagePlace[]
      /** What the worker's part of the memory is used for. */
      readonly regions: readonly Region[]
      readonly edges: readonly string[]
    }
  | { readonly kind: 'refused'; readonly id: number; readonly message: string }
  /** What it has seen of the packets of a trace. */
  | { readonly kind: 'followed'; readonly trace: number; readonly parts: readonly TracePart[] }

/** What stands at WORKER_BUSY until the thread's modules are loaded; then 1 while it works and 0 while it waits. */
export const IS_LOADING = 2

/** What stands at WORKER_BUSY when nothing of the thread is watched any more, and it ends by itself. */
export const HAS_LEFT = 3

/** The answer to the start. */
export const START_ID = 0

/** Rounds without a look at the event loop, at most; messages are looked for in each. */
const ROUNDS_AT_ONCE = 1024
const WAIT_MS = 1000

/** A worker's life in its thread. What it throws ends the thread; whoever started it clears up. */
export async function runWorker<Settings>(draft: WorkerDraft<Settings>, start: WorkerStart<Settings>): Promise<void> {
  noteDescriptors(
    new Int32Array(start.memory.buffer, start.control + WORKER_DESCRIPTORS, MOST_DESCRIPTORS),
    new Int32Array(start.memory.buffer, start.control + WORKER_QUEUES, 2 * MOST_DESCRIPTORS),
  )
  const space = openPart(start.memory, start.part)
  const words = new Int32Array(start.memory.buffer, start.control)
  const [rounds, busy, asked, generation, wakes] = [
    WORKER_ROUNDS,
    WORKER_BUSY,
    WORKER_ASKED,
    WORKER_GENERATION,
    WORKER_WAKES,
  ].map((offset) => offset / 4) as [number, number, number, number, number]
  const code = loadCode(space, start.isChecked)
  const pool = attachWorkerPool(space, code, start.pool)
  const bell = openBell(space, code, start.control, start.event)
  const host = openHost(start, space, code, pool, bell)
  const port = parentPort!
  words[busy] = 1
  const engine = startEngine(space, code, pool, host.draw(draft, start.settings), start.engine)
  const tell = (answer: Answer) => port.postMessage(answer)
  const running = (id: number) =>
    tell({
      kind: 'running',
      id,
      generation: words[generation]!,
      stages: engine.places(),
      regions: space.layout().regions,
      edges: edgesOf(engine.graph()),
    })
  const captures = new Map<string, () => void>()
  let followed: { readonly id: number; readonly tracer: Tracer } | null = null
  let isStopped = false
  /** How often it had been woken when its last round began. */
  let woken = 0

  /** Changes what is at work, and tells what that is now. */
  function change(id: number, run: () => void): void {
    Atomics.add(words, generation, 1)
    try {
      run()
    } catch (error) {
      tell({ kind: 'refused', id, message: error instanceof Error ? error.message : String(error) })
    } finally {
      Atomics.add(words, generation, 1)
    }
    running(id)
  }

  function follow(trace: WorkerTrace | null): void {
    tellFollowed()
    followed =
      trace === null
        ? null
        : { id: trace.id, tracer: openTracer(space, pool, trace, loadJudge(trace.matcher, space.memory)) }
    engine.follow(followed?.tracer ?? null)
  }

  function tellFollowed(): void {
    const parts = followed?.tracer.take() ?? []
    if (parts.length > 0) tell({ kind: 'followed', trace: followed!.id, parts })
  }

  function capture(name: string, wanted: WorkerCapture | null): void {
    captures.get(name)?.()
    captures.delete(name)
    if (wanted === null) return
    const judge = wanted.matcher === null ? null : loadJudge(wanted.matcher, space.memory)
    captures.set(name, engine.tap(wanted.edge, captureTo(name, wanted.log, judge)))
  }

  port.on('message', (order: Order<Settings>) => {
    pauseWatches()
    Atomics.store(words, busy, 1)
    endIfTold()
    Atomics.sub(words, asked, 1)
    if (order.kind === 'change') change(order.id, () => host.draw(draft, order.settings, engine.change))
    else if (order.kind === 'trace') change(order.id, () => follow(order.trace))
    else if (order.kind === 'capture') change(order.id, () => capture(order.name, order.capture))
    else if (order.kind === 'watch') engine.watch(order.isOn)
    else if (order.kind === 'stop') isStopped = true
    bell.ring()
  })
  const isAsked = () => Atomics.load(words, asked) > 0
  const turn = createTurn(engine, { round, rounds: ROUNDS_AT_ONCE, spinUs: start.spinUs, isAsked })
  running(START_ID)
  try {
    while (!isStopped) {
      Atomics.store(words, busy, 1)
      endIfTold()
      const goesOn = turn()
      Atomics.store(words, busy, 0)
      endIfTold()
      if (goesOn) await new Promise(setImmediate)
      else await rest()
    }
    engine.close()
    host.close()
    pool.close()
    port.close()
  } finally {
    pauseWatches()
    Atomics.store(words, busy, HAS_LEFT)
    Atomics.notify(words, busy)
  }

  /**
   * Who ends a worker says so, then looks whether it is at work; the worker says
   * that it no longer is, then looks whether it is to end. So one of them sees
   * the other, and nobody ends a thread that has watches.
   */
  function endIfTold(): void {
    if (Atomics.load(words, WORKER_ENDS / 4) === 1) throw new Error(`worker ${start.name} was ended while it waited`)
  }

  function round(): number {
    woken = Atomics.load(words, wakes)
    const packets = engine.round()
    words[rounds]!++
    if (followed !== null) tellFollowed()
    return packets
  }

  async function rest(): Promise<void> {
    const isNeeded = () => engine.isReady() || isAsked() || Atomics.load(words, wakes) !== woken
    await Promise.race([bell.wait(isNeeded, WAIT_MS), engine.wait(WAIT_MS)])
    // Those that have not won the race would pile up at a bell that nobody rings.
    bell.ring()
    pauseWatches()
  }
}
