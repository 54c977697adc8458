import { Worker } from 'node:worker_threads'
import { withAffinity } from '../kernel/index.js'
import {
  type Region,
  type Space,
  WORKER_ASKED,
  WORKER_BUSY,
  WORKER_BYTES,
  WORKER_ENDS,
  WORKER_GENERATION,
  WORKER_ROUNDS,
} from '../memory/index.js'
import type { StageStatistics } from './engine.js'
import { addStatistics, readStage } from './open-stage.js'
import type { TracePart } from './trace.js'
import {
  type Answer,
  HAS_LEFT,
  IS_LOADING,
  type Order,
  START_ID,
  type WorkerCapture,
  type WorkerStart,
  type WorkerTrace,
} from './worker-thread.js'

/** A worker's thread, seen from the one that started it: started again whenever it ends and was not told to. */
export interface SupervisedWorker<Settings> {
  readonly name: string
  /** Starts the thread; resolves when its graph runs. Rejects where it cannot start, and does not try again. */
  start(): Promise<void>
  /** Resolves when the graph is that of the settings; rejects where it stayed as it was. */
  change(settings: Settings): Promise<void>
  watch(isOn: boolean): void
  /** Follows packets, also when it is started again; null ends that. Resolves when it does so, or its thread has ended. */
  trace(trace: WorkerTrace | null): Promise<void>
  /** Captures at an edge, likewise. */
  capture(name: string, capture: WorkerCapture | null): Promise<void>
  /** The edges of its graph, when it last changed. */
  edges(): readonly string[]
  statistics(): WorkerStatistics
  /** Regions of its part of the memory, as they were when its graph last changed. */
  regions(): readonly Region[]
  /** Ends the thread, at once; it is started again. */
  kill(): void
  /** Lets it finish its round and end; resolves when it has. */
  stop(): Promise<void>
  /** The same for a process that ends and has no event loop any more: tells it, and gives what waits for it, at most so long. */
  leave(): (timeoutMs: number) => void
}

/** What a worker has done. Its stages count on where threads end: each for as long as graphs have one of its name. */
export interface WorkerStatistics {
  readonly name: string
  /** False while the thread is being started again. */
  readonly isRunning: boolean
  readonly restarts: number
  /** Frames that were taken from ended threads, with the packets in them. */
  readonly reclaimedFrames: number
  readonly stages: readonly StageStatistics[]
}

/** What the supervisor is lent. */
export interface Supervision {
  readonly cpu: number | null
  /** How long a worker may stay in one round. */
  readonly stallMs: number
  /** Clears up after a thread that has ended; gives how many frames it held. The next may start when it resolves. */
  reclaim(): Promise<number>
  /** Told what the worker has seen of the packets of a trace. */
  followed(trace: number, parts: readonly TracePart[]): void
  /** Told of each end that nobody ordered. */
  ended(error: Error): void
}

/** An order that is answered, before it has its number. */
type Unasked<Settings> = { readonly kind: 'change'; readonly settings: Settings } | Lasting
type Lasting =
  | { readonly kind: 'trace'; readonly trace: WorkerTrace | null }
  | { readonly kind: 'capture'; readonly name: string; readonly capture: WorkerCapture | null }

/** Of an order whose answer nobody waits for. */
const UNASKED_ID = -1

/** Threads that end within this time of their start are started again later and later. */
const SHORT_LIFE_MS = 1000
/** How long a thread may take to draw its graph at first: for each queue of a device the kernel notes all frames. */
const START_MS = 60_000
/** Of a watchdog, within the time that a worker may stand still. */
const LOOKS = 4
const MOST_DELAY_MS = 1000

/** A worker that is not started yet. `describe` gives what its thread starts with, with the settings of the day. */
export function superviseWorker<Settings>(
  space: Space,
  start: Omit<WorkerStart<Settings>, 'settings'>,
  settings: Settings,
  { cpu, stallMs, reclaim, followed, ended: tellEnd }: Supervision,
): SupervisedWorker<Settings> {
  const words = new Int32Array(space.memory.buffer, start.control, WORKER_BYTES / 4)
  const waiting = new Map<number, { resolve(): void; reject(error: Error): void }>()
  let current = settings
  let thread: Worker | null = null
  /** What a thread that is started again has to be told. */
  const lastings = new Map<string, Lasting>()
  let edges: readonly string[] = []
  let places: (Answer & { readonly kind: 'running' }) | null = null
  let seen: readonly StageStatistics[] = []
  /** What the stages of ended threads have counted, as far as the last of them had them. */
  let ended: readonly StageStatistics[] = []
  let [restarts, reclaimedFrames, shortLives, nextId] = [0, 0, 0, START_ID]
  let startedAt = 0
  let isStopping = false
  let isWatched = false
  let cleared: Promise<void> = Promise.resolve()
  let hasEnded = () => {}

  function launch(): Promise<void> {
    words.fill(0)
    words[WORKER_BUSY / 4] = IS_LOADING
    nextId = START_ID
    places = null
    startedAt = performance.now()
    const workerData = { sluiceWorker: { ...start, settings: current } }
    const create = () => new Worker(new URL(start.url), { workerData, name: start.name })
    const created = cpu === null ? create() : withAffinity([cpu], create)
    thread = created
    let cause: Error | null = null
    created.on('message', hear)
    created.on('error', (error) => {
      cause = error instanceof Error ? error : new Error(String(error))
    })
    created.on('exit', (status) => {
      cleared = clearUp(cause ?? new Error(`worker ${start.name} ended with status ${status}`))
    })
    if (isWatched) order({ kind: 'watch', isOn: true })
    for (const lasting of lastings.values()) order({ ...lasting, id: UNASKED_ID })
    return answer()
  }

  function hear(message: Answer): void {
    if (message.kind === 'followed') {
      followed(message.trace, message.parts)
      return
    }
    const waiter = waiting.get(message.id)
    waiting.delete(message.id)
    if (message.kind === 'refused') waiter?.reject(new Error(message.message))
    else {
      places = message
      edges = message.edges
      waiter?.resolve()
    }
  }

  function answer(): Promise<void> {
    const id = nextId++
    return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }))
  }

  /** Tells it something that is answered; done at once where no thread is there to be told. */
  function ask(message: Unasked<Settings>): Promise<void> {
    // One that has been started and has not answered yet was sent what was so before.
    if (thread === null) return Promise.resolve()
    const answered = answer()
    order({ ...message, id: nextId - 1 } as Order<Settings>)
    return answered
  }

  /** What it refuses, or does not live to do, is done with. */
  async function askLasting(key: string, message: Lasting, isOn: boolean): Promise<void> {
    if (isOn) lastings.set(key, message)
    else lastings.delete(key)
    await ask(message).catch(() => {})
  }

  function order(message: Order<Settings>): void {
    Atomics.add(words, WORKER_ASKED / 4, 1)
    thread?.postMessage(message)
  }

  async function clearUp(error: Error): Promise<void> {
    const hadStarted = places !== null
    ended = stages()
    seen = []
    thread = null
    places = null
    if (!isStopping) tellEnd(error)
    reclaimedFrames += await reclaim()
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
    if (isStopping) hasEnded()
    else if (restarts > 0 || hadStarted) startAgain()
  }

  function startAgain(): void {
    shortLives = performance.now() - startedAt < SHORT_LIFE_MS ? shortLives + 1 : 0
    const delayMs = shortLives < 2 ? 0 : Math.min(MOST_DELAY_MS, 10 * 2 ** shortLives)
    setTimeout(again, delayMs)
  }

  function again(): void {
    if (isStopping) return
    restarts++
    // The thread's end says what went wrong, too.
    launch().catch(() => {})
  }

  /**
   * Ends the thread. One that waits for descriptors has to do it itself (`pauseWatches`), and one that loads its modules
   * too: a native one that is ended while it is loaded takes the process along. Unless its event loop stands still.
   */
  function endThread(): void {
    Atomics.store(words, WORKER_ENDS / 4, 1)
    if (Atomics.load(words, WORKER_BUSY / 4) === 1) {
      void thread?.terminate()
      return
    }
    order({ kind: 'end' })
    const told = thread
    setTimeout(() => thread === told && void told?.terminate(), stallMs).unref()
  }

  /** The counters, where they have a place: while a graph changes, what was last read. */
  function read(): readonly StageStatistics[] {
    const isSettled = () => places !== null && Atomics.load(words, WORKER_GENERATION / 4) === places.generation
    if (!isSettled()) return seen
    const fresh = places!.stages.map((place) => readStage(space, place))
    if (isSettled()) seen = fresh
    return seen
  }

  /** With those of ended threads; while there is none, these alone. */
  function stages(): readonly StageStatistics[] {
    const fresh = read()
    if (fresh.length === 0) return ended
    return fresh.map((stage) => {
      const before = ended.find(({ name }) => name === stage.name)
      return before === undefined ? stage : addStatistics(stage, before)
    })
  }

  // Looks are counted and not the time: where the whole machine stood still, no worker did.
  let [lastRounds, looks] = [-1, 0]
  const watchdog = setInterval(() => {
    const rounds = words[WORKER_ROUNDS / 4]!
    if (words[WORKER_BUSY / 4] !== 1 || rounds !== lastRounds) [lastRounds, looks] = [rounds, 0]
    else if ((++looks * stallMs) / LOOKS > (places === null ? Math.max(stallMs, START_MS) : stallMs)) endThread()
  }, stallMs / LOOKS).unref()

  return {
    name: start.name,
    start: launch,
    change(settings) {
      current = settings
      return ask({ kind: 'change', settings })
    },
    watch(isOn) {
      isWatched = isOn
      order({ kind: 'watch', isOn })
    },
    statistics: () => ({
      name: start.name,
      isRunning: places !== null,
      restarts,
      reclaimedFrames,
      stages: stages(),
    }),
    trace: (trace) => askLasting('trace', { kind: 'trace', trace }, trace !== null),
    capture: (name, capture) => askLasting(name, { kind: 'capture', name, capture }, capture !== null),
    edges: () => edges,
    regions: () => places?.regions ?? [],
    kill: endThread,
    async stop() {
      isStopping = true
      clearInterval(watchdog)
      if (thread === null) return cleared
      const end = new Promise<void>((resolve) => {
        hasEnded = resolve
      })
      order({ kind: 'stop' })
      const timer = setTimeout(endThread, stallMs)
      await end
      clearTimeout(timer)
    },
    leave() {
      isStopping = true
      order({ kind: 'stop' })
      return (timeoutMs) => {
        const end = performance.now() + timeoutMs
        for (let leftMs = timeoutMs; thread !== null && leftMs > 0; leftMs = end - performance.now()) {
          const busy = Atomics.load(words, WORKER_BUSY / 4)
          if (busy === HAS_LEFT) return
          // It wakes us only at its end; what it writes there before may keep us from falling asleep.
          Atomics.wait(words, WORKER_BUSY / 4, busy, leftMs)
        }
      }
    },
  }
}
