import { type DecidedFlow, type DecidedFlows, openDecided } from '../../flow/index.js'
import type { Space } from '../../memory/index.js'
import { nameOf, type OffloadFlow, type OffloadKey, type Tier } from '../../offload/index.js'
import type { DrivenFlow } from './router-flows.js'

/** From where flows are promoted, and whereto. */
export interface PromoterOptions {
  readonly space: Space
  /** Address of a word for each worker: that of its table of flows, 0 until there is one. */
  readonly flowsAt: readonly number[]
  /** The generation of routes as it is now. */
  readonly generation: () => number
  readonly tier: Tier
  /** Index of each port's device. */
  readonly ports: readonly number[]
}

/** Busy flows of the engine, installed in a faster tier for as long as they are busy and their decision is the present one. */
export interface Promoter {
  /** A route, neighbour or port may have changed: what was installed by an older answer is used no more once this returns. */
  changed(): void
  /** Much may change in a moment, which takes long: the tier has nothing once this returns, until flows are busy again. */
  suspend(): void
  /** Looks at the flows once; otherwise a timer does. */
  look(now: number): void
  /** Flows with a direction or two in the tier. */
  flows(): number
  /** What the tier has forwarded of each of them until now, by worker and by the flow's number; both directions. */
  counted(): ReadonlyMap<number, DrivenFlow>[]
  close(): void
}

/** Between two looks at the engine's flows. */
const LOOK_MS = 200
/** After so many looks in a row, at each of which a flow had had packets since the one before, it is installed at the next. */
const BUSY_LOOKS = 2
/** Flows of all tables that are looked at each time, so that large ones do not hold this thread up. */
const MOST_LOOKED_AT = 65_536
/** Looks between two readings of what the tier has counted. */
const LOOKS_A_READING = 5
/** As the kernel's flow tables (nf_flowtable_udp_timeout). */
const IDLE_MS = 30_000

interface Candidate {
  readonly stamp: number
  readonly looks: number
}

interface Promoted {
  readonly number: number
  readonly stamp: number
  readonly keys: readonly OffloadKey[]
  packets: number
  busyAt: number
}

/** The flows of a worker, as they were when they were looked at last. */
interface Table {
  /** Address of the word that says where it is. */
  readonly at: number
  head: number
  flows: DecidedFlows | null
  /** The flow that is looked at next. */
  next: number
  deadlines: Uint32Array
  /** Of those that had packets. */
  readonly candidates: Map<number, Candidate>
  readonly promoted: Map<number, Promoted>
}

/** Promotes until it is closed; then nothing is installed any more. */
export function openPromoter({ space, flowsAt, generation, tier, ports }: PromoterOptions): Promoter {
  const tables = flowsAt.map(
    (at): Table => ({
      ...{ at, head: 0, flows: null, next: 0, deadlines: new Uint32Array(0) },
      ...{ candidates: new Map(), promoted: new Map() },
    }),
  )
  const most = tier.capacity / 2
  let [known, looks] = [generation(), 0]

  const count = () => tables.reduce((sum, { promoted }) => sum + promoted.size, 0)

  function changed(): void {
    if (generation() === known) return
    known = generation()
    suspend()
  }

  function suspend(): void {
    tier.invalidate()
    for (const table of tables) withdrawAll(table)
  }

  function withdrawAll(table: Table): void {
    for (const flow of table.promoted.values()) withdraw(table, flow)
  }

  function withdraw({ promoted }: Table, { number, keys }: Promoted): void {
    for (const key of keys) tier.withdraw(key)
    promoted.delete(number)
  }

  /** A worker that was started again has another table, of which nothing is known. */
  function find(table: Table): DecidedFlows | null {
    const now = Atomics.load(space.words, table.at / 4)
    if (now !== table.head) {
      withdrawAll(table)
      table.candidates.clear()
      const flows = now === 0 ? null : openDecided(space, now)
      Object.assign(table, { head: now, next: 0, flows, deadlines: new Uint32Array(flows?.capacity ?? 0) })
    }
    return table.flows
  }

  function install(table: Table, flows: DecidedFlows, number: number, stamp: number, now: number): void {
    const keys: OffloadKey[] = []
    for (const flow of offloadOf(flows.read(number), ports)) if (tier.install(flow)) keys.push(flow.key)
    const entry = { number, stamp, keys, packets: 0, busyAt: now }
    // What was read is what the stamp is of only if it still is.
    if (keys.length === 0 || flows.stamp(number, known) !== stamp) withdraw(table, entry)
    else table.promoted.set(number, entry)
  }

  /** A flow that has had packets since it was looked at last. */
  function consider(table: Table, flows: DecidedFlows, number: number, now: number): void {
    const { candidates } = table
    const stamp = flows.stamp(number, known)
    const before = candidates.get(number)
    candidates.delete(number)
    if (stamp === 0 || count() >= most || candidates.size >= tier.capacity) return
    const times = before?.stamp === stamp ? before.looks + 1 : 1
    // Windows are not followed from here on: that must have been so for one look, for the worker may have been at the flow.
    const isReady = times >= BUSY_LOOKS && flows.trackLiberally(number) && times > BUSY_LOOKS
    if (isReady) install(table, flows, number, stamp, now)
    else candidates.set(number, { stamp, looks: times })
  }

  function look(now: number): void {
    changed()
    looks++
    const found = tables.flatMap((table) => {
      const flows = find(table)
      return flows === null ? [] : [{ table, flows }]
    })
    for (const { table, flows } of found)
      for (const flow of table.promoted.values())
        if (flows.stamp(flow.number, known) !== flow.stamp) withdraw(table, flow)
    if (looks % LOOKS_A_READING === 0 && count() > 0) {
      const counted = new Map(tier.counters().map(({ key, packets }) => [nameOf(key), packets]))
      for (const { table, flows } of found) takeCounters(table, flows, counted, now)
    }
    for (const { table, flows } of found) lookAt(table, flows, now)
  }

  function lookAt(table: Table, flows: DecidedFlows, now: number): void {
    const { deadlines, candidates, promoted } = table
    const steps = Math.min(flows.capacity, Math.ceil(MOST_LOOKED_AT / tables.length))
    let { next } = table
    for (let step = 0; step < steps; step++, next = next + 1 === flows.capacity ? 0 : next + 1) {
      const deadline = flows.deadline(next)
      if (deadline === deadlines[next]) candidates.delete(next)
      else if (!promoted.has(next)) consider(table, flows, next, now)
      deadlines[next] = deadline
    }
    table.next = next
  }

  /** Flows that the tier has had packets of live on in the engine; others are the engine's again. */
  function takeCounters(table: Table, flows: DecidedFlows, counted: ReadonlyMap<string, number>, now: number): void {
    for (const flow of table.promoted.values()) {
      const packets = flow.keys.reduce((sum, key) => sum + (counted.get(nameOf(key)) ?? 0), 0)
      if (packets !== flow.packets) {
        flow.packets = packets
        flow.busyAt = now
        flows.keepAlive(flow.number)
      } else if (now - flow.busyAt >= IDLE_MS) withdraw(table, flow)
    }
  }

  const timer = setInterval(() => look(performance.now()), LOOK_MS)
  return {
    changed,
    suspend,
    look,
    flows: count,
    counted() {
      const counted = new Map(tier.counters().map((flow) => [nameOf(flow.key), flow]))
      return tables.map(({ promoted }) => {
        const sums = [...promoted.values()].map(({ number, keys }): [number, DrivenFlow] => {
          const both = keys.flatMap((key) => counted.get(nameOf(key)) ?? [])
          const sum = (what: 'packets' | 'bytes') => both.reduce((total, flow) => total + flow[what], 0)
          return [number, { packets: sum('packets'), bytes: sum('bytes') }]
        })
        return new Map(sums)
      })
    },
    close() {
      clearInterval(timer)
      for (const table of tables) withdrawAll(table)
    },
  }
}

/** What the tier is told, for each direction that is decided and leads from one device to another. */
function offloadOf({ family, protocol, decisions }: DecidedFlow, ports: readonly number[]): OffloadFlow[] {
  return decisions
    .filter(({ inPort, outPort }) => inPort !== outPort)
    .map(({ key, inPort, outPort, ...decided }) => ({
      ...decided,
      key: { ...key, family, protocol, from: ports[inPort]! },
      out: ports[outPort]!,
    }))
}
