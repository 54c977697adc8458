import { setTimeout as sleep } from 'node:timers/promises'
import { createWaiter, type Waiter } from '../kernel/index.js'
import { BUNDLE_BYTES, type Code, MOST_IN_BUNDLE, type Space, type WorkerPool } from '../memory/index.js'
import type { Device } from './device.js'
import { openEngineTrace, type TraceOptions } from './engine-trace.js'
import { deviceOf, type Graph, noEdge } from './graph.js'
import { edgeName, edgesOf, onEdges } from './on-edges.js'
import { type OpenStage, openStage, readStage, type StagePlace } from './open-stage.js'
import { isSameStage, type Stage } from './stage.js'
import type { Trace, Tracer } from './trace.js'

export interface EngineOptions {
  /** Unique among the engines of a memory: regions are named for it. */
  readonly name?: string
  /** Packets that travel together, 1 to 256; 64 where it is not said. */
  readonly bundle?: number
  /**
   * Whether the headers of a bundle are touched before the first stage, so that
   * the processor fetches them at once and not one by one: pays where they are
   * not in its cache. `auto` decides by the number of frames of the pool.
   */
  readonly touch?: boolean | 'auto'
}

/** What one stage has done since it was started. */
export interface StageStatistics {
  readonly name: string
  readonly packets: number
  readonly bundles: number
  readonly packetsPerBundle: number
  readonly drops: Readonly<Record<string, number>>
  /** Those that came while somebody watched, and the time that they took; what two looks differ by is of the time between. */
  readonly watched: { readonly packets: number; readonly ms: number }
  /** Of all of these; null where there are none. */
  readonly nanosecondsPerPacket: number | null
}

/** One worker's graph at work: each bundle goes through all stages before the next is received. */
export interface Engine {
  /** Receives one bundle from each device and takes it through the graph; gives how many packets there were. */
  round(): number
  /** Whether a device has something; cheap enough to spin on. */
  isReady(): boolean
  /**
   * Sleeps in the kernel until a device has something, at most so long, and
   * gives whether one has. A tenth of the cost of `wait`, but the event loop
   * stands still meanwhile. False at once where the kernel cannot wake it for
   * all that it waits for: for a due time, or the ring of a thread without an event.
   */
  doze(mostMs: number): boolean
  /** Resolves when a device may have something, when one that could not send all should try again, or after `timeoutMs`. */
  wait(timeoutMs: number): Promise<void>
  /**
   * Goes on with another graph, from the next round on. Stages that are the
   * same keep their state and counters. Throws what a stage throws that cannot
   * start; then the old graph stays.
   */
  change(graph: Graph): void
  /** What was drawn last: without the taps. */
  graph(): Graph
  /**
   * Follows packets, each alone, from the next round on, until there were as
   * many as asked for; what a packet meets is the same as without, in the same
   * order. It goes on when the graph is changed. Throws an error where one is at
   * work, and LayoutError.
   */
  trace(options: TraceOptions): Trace
  /** Lets a tracer of somebody else take its bundles; null: nobody any more. */
  follow(tracer: Tracer | null): void
  /**
   * Puts a stage of one output on an edge, `STAGE.OUTPUT` or, behind a device,
   * `receive DEVICE`; what it gives takes it away. It stays when the graph is
   * changed, as long as there is that edge. Throws GraphError where there is
   * none, and what the stage throws.
   */
  tap(edge: string, stage: Stage): () => void
  /** Measures time a packet while it is on. */
  watch(isOn: boolean): void
  statistics(): readonly StageStatistics[]
  /** One sentence for each device that it receives from and that has been removed; asks the kernel, so not for each round. */
  lost(): readonly string[]
  /** Where the counters of its stages lie, until the next change. */
  places(): readonly StagePlace[]
  /** Closes the stages, which give their frames back; devices and pool are the caller's. */
  close(): void
}

/** How soon a device gets another `flush` that could not send all. */
const HELD_UP_MS = 2

/** Frames beyond which their headers are not taken to be in the processor's cache. */
const MOST_CACHED_FRAMES = 4096

/** Starts the stages of a graph. Throws RangeError for a bundle that there is not, LayoutError, and what a stage throws. */
export function startEngine(
  space: Space,
  code: Code,
  pool: WorkerPool,
  graph: Graph,
  { name = 'engine', bundle: most = 64, touch = 'auto' }: EngineOptions = {},
): Engine {
  if (!Number.isInteger(most) || most < 1 || most > MOST_IN_BUNDLE)
    throw new RangeError(`a bundle of ${most} packets is not possible; give 1 to ${MOST_IN_BUNDLE}`)
  const touches = touch === 'auto' ? pool.frames > MOST_CACHED_FRAMES : touch
  const bundle = space.reserve({ name: `${name} bundle`, kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  const touchPackets = code.find('touchPackets')
  let generation = 0
  let isWatched = false
  let drawn = graph
  let taps: readonly Tap[] = []
  let tracer: Tracer | null = null
  let stopTrace = () => {}
  let current: readonly OpenStage[]
  try {
    current = connect([], graph)
  } catch (error) {
    space.free(`${name} bundle`)
    throw error
  }
  let entries = entriesOf(current, graph)
  let targets = targetsOf(current)
  let keepers = targets.filter(keeps)
  let first = current.filter(({ flushesFirst }) => flushesFirst)
  let waiter = waiterFor(entries, keepers)

  function connect(running: readonly OpenStage[], { stages, edges }: Graph): OpenStage[] {
    const started: OpenStage[] = []
    try {
      const open = stages.map((stage, index) => {
        const same = running.find((other) => isSameStage(other.stage, stage))
        if (same !== undefined) return same
        started.push(openStage(space, code, pool, stage, `${name} ${stage.name} ${generation++}`, index))
        return started.at(-1)!
      })
      const byName = new Map(open.map((each) => [each.stage.name, each]))
      for (const each of open) {
        each.lead(
          each.stage.outputs.map((output) => {
            return byName.get(edges.find((edge) => edge.from === each.stage.name && edge.output === output)!.to)!
          }),
        )
      }
      return open
    } catch (error) {
      for (const each of started) each.close()
      throw error
    }
  }

  function isReady(): boolean {
    for (let index = 0; index < entries.length; index++) if (entries[index]!.device.isReady()) return true
    for (let index = 0; index < keepers.length; index++) if (keepers[index]!.isDue()) return true
    return false
  }

  /** From the next round on: the graph, with taps on its edges. */
  function use(next: Graph, nextTaps: readonly Tap[]): void {
    const whole = withTaps(next, nextTaps)
    const open = connect(current, whole)
    for (const old of current) if (!open.includes(old)) old.close()
    current = open
    entries = entriesOf(open, whole)
    targets = targetsOf(open)
    keepers = targets.filter(keeps)
    first = open.filter(({ flushesFirst }) => flushesFirst)
    waiter = waiterFor(entries, keepers)
    drawn = next
    taps = nextTaps
  }

  /** A trace sees to all stages each time: whoever keeps nothing gives nothing. */
  function flush(stages: readonly OpenStage[]): void {
    if (tracer !== null) tracer.flush(current, bundle, isWatched)
    else for (let index = 0; index < stages.length; index++) stages[index]!.flush(bundle, isWatched)
  }

  function isHeldUp(): boolean {
    for (let index = 0; index < targets.length; index++) if (targets[index]!.isHeldUp?.() === true) return true
    return false
  }

  return {
    round() {
      let packets = 0
      if (first.length > 0) flush(first)
      for (let index = 0; index < entries.length; index++) {
        const { device, stage } = entries[index]!
        const count = device.receive(bundle, most)
        if (count === 0) continue
        packets += count
        if (touches) touchPackets(bundle)
        if (tracer === null) stage.take(bundle, isWatched)
        else tracer.run(bundle, device, stage, isWatched)
      }
      flush(current)
      return packets
    },
    isReady,
    doze(mostMs) {
      if (waiter === null || isHeldUp()) return false
      for (let index = 0; index < entries.length; index++) entries[index]!.device.poll?.(true)
      const mayHave = isReady() || waiter.wait(mostMs) > 0
      for (let index = 0; index < entries.length; index++) entries[index]!.device.poll?.(false)
      return mayHave && isReady()
    },
    async wait(timeoutMs) {
      if (isReady()) return
      const mostMs = isHeldUp() ? Math.min(timeoutMs, HELD_UP_MS) : timeoutMs
      const waits = entries.map(({ device }) => device.wait(mostMs))
      for (const device of keepers) waits.push(device.waitDue(mostMs))
      // A race that nobody runs has no end.
      await (waits.length === 0 ? sleep(mostMs) : Promise.race(waits))
    },
    change(next) {
      use(next, taps)
    },
    graph: () => drawn,
    trace(options) {
      if (tracer !== null) throw new Error(`${name} is traced already; stop the other trace, or wait for its end`)
      const opened = openEngineTrace(space, pool, `${name} trace`, options, () => {
        tracer = null
      })
      tracer = opened.tracer
      stopTrace = opened.trace.stop
      return opened.trace
    },
    follow(other) {
      tracer = other
    },
    tap(edge, stage) {
      const tap = { edge, stage }
      if (!edgesOf(drawn).includes(edge)) throw noEdge(edge, edgesOf(drawn))
      use(drawn, [...taps, tap])
      return () => {
        if (taps.includes(tap))
          use(
            drawn,
            taps.filter((other) => other !== tap),
          )
      }
    },
    watch(isOn) {
      isWatched = isOn
    },
    statistics: () => current.map(({ place }) => readStage(space, place)),
    lost: () =>
      entries
        .filter(({ device }) => device.state?.() === 'gone')
        .map(
          ({ device }) => `${device.name} is gone: the device has been removed, and no packets come from it any more`,
        ),
    places: () => current.map(({ place }) => place),
    close() {
      stopTrace()
      for (const stage of current) stage.close()
      current = []
      entries = []
      targets = []
      keepers = []
      taps = []
      space.free(`${name} bundle`)
    },
  }
}

/** Devices with the stage that takes what they receive. */
function entriesOf(open: readonly OpenStage[], { sources }: Graph) {
  return sources.map(({ device, to }) => ({ device, stage: open.find(({ stage }) => stage.name === to)! }))
}

/** Devices that stages send to. */
function targetsOf(open: readonly OpenStage[]): Device[] {
  return open.flatMap(({ stage }) => deviceOf(stage) ?? [])
}

/** Sleeps for all devices at once; null where the kernel does not know of something that is waited for. */
function waiterFor(entries: ReturnType<typeof entriesOf>, keepers: readonly Keeper[]): Waiter | null {
  const descriptors = entries.flatMap(({ device }) => device.descriptor ?? [])
  if (keepers.length > 0 || descriptors.length === 0 || descriptors.length < entries.length) return null
  // Rings to a worker share one.
  return createWaiter([...new Set(descriptors)])
}

/** A device that keeps packets until later. */
type Keeper = Device & Required<Pick<Device, 'isDue' | 'waitDue'>>

function keeps(device: Device): device is Keeper {
  return device.isDue !== undefined && device.waitDue !== undefined
}

interface Tap {
  readonly edge: string
  readonly stage: Stage
}

function withTaps(graph: Graph, taps: readonly Tap[]): Graph {
  return taps.reduce(
    (whole, { edge, stage }) => onEdges(whole, (each) => (edgeName(each) === edge ? stage : null)),
    graph,
  )
}
