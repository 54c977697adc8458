import { type DecidedFlow, type DecidedFlows, openDecided } from '../../flow/index.js'
import type { Space } from '../../memory/index.js'
import { nameOf, type OffloadFlow, type OffloadKey, type Tier } from '../../offload/index.js'

/** From where flows are promoted, and whereto. */
export interface PromoterOptions {
  readonly space: Space
  /** Address of a word: that of the engine's table of flows, 0 until there is one. */
  readonly flowsAt: number
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
  close(): void
}

/** Between two looks at the engine's flows. */
const LOOK_MS = 200
/** After so many looks in a row, at each of which a flow had had packets since the one before, it is installed at the next. */
const BUSY_LOOKS = 2
/** Flows that are looked at each time, so that a large table does not hold this thread up. */
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

/** Promotes until it is closed; then nothing is installed any more. */
export function openPromoter({ space, flowsAt, generation, tier, ports }: PromoterOptions): Promoter {
  let [head, table]: [number, DecidedFlows | null] = [0, null]
  let deadlines = new Uint32Array(0)
  /** Of those that had packets when they were looked at last. */
  const candidates = new Map<number, Candidate>()
  const promoted = new Map<number, Promoted>()
  let [known, next, looks] = [generation(), 0, 0]

  function changed(): void {
    if (generation() === known) return
    known = generation()
    suspend()
  }

  function suspend(): void {
    tier.invalidate()
    for (const flow of promoted.values()) withdraw(flow)
  }

  function withdraw({ number, keys }: Promoted): void {
    for (const key of keys) tier.withdraw(key)
    promoted.delete(number)
  }

  /** A worker that was started again has another table, of which nothing is known. */
  function findTable(): DecidedFlows | null {
    const now = Atomics.load(space.words, flowsAt / 4)
    if (now !== head) {
      for (const flow of promoted.values()) withdraw(flow)
      candidates.clear()
      ;[head, next] = [now, 0]
      table = head === 0 ? null : openDecided(space, head)
      deadlines = new Uint32Array(table?.capacity ?? 0)
    }
    return table
  }

  function install(flows: DecidedFlows, number: number, stamp: number, now: number): void {
    const keys: OffloadKey[] = []
    for (const flow of offloadOf(flows.read(number), ports)) if (tier.install(flow)) keys.push(flow.key)
    const entry = { number, stamp, keys, packets: 0, busyAt: now }
    // What was read is what the stamp is of only if it still is.
    if (keys.length === 0 || flows.stamp(number, known) !== stamp) withdraw(entry)
    else promoted.set(number, entry)
  }

  /** A flow that has had packets since it was looked at last. */
  function consider(flows: DecidedFlows, number: number, now: number): void {
    const stamp = flows.stamp(number, known)
    const before = candidates.get(number)
    candidates.delete(number)
    if (stamp === 0 || promoted.size >= tier.capacity / 2 || candidates.size >= tier.capacity) return
    const looks = before?.stamp === stamp ? before.looks + 1 : 1
    // Windows are not followed from here on: that must have been so for one look, for the worker may have been at the flow.
    if (looks >= BUSY_LOOKS && flows.trackLiberally(number) && looks > BUSY_LOOKS) install(flows, number, stamp, now)
    else candidates.set(number, { stamp, looks })
  }

  function look(now: number): void {
    changed()
    const flows = findTable()
    if (flows === null) return
    for (const flow of promoted.values()) if (flows.stamp(flow.number, known) !== flow.stamp) withdraw(flow)
    if (++looks % LOOKS_A_READING === 0) readCounters(flows, now)
    const count = Math.min(flows.capacity, MOST_LOOKED_AT)
    for (let looked = 0; looked < count; looked++, next = next + 1 === flows.capacity ? 0 : next + 1) {
      const deadline = flows.deadline(next)
      if (deadline === deadlines[next]) candidates.delete(next)
      else if (!promoted.has(next)) consider(flows, next, now)
      deadlines[next] = deadline
    }
  }

  /** Flows that the tier has had packets of live on in the engine; others are the engine's again. */
  function readCounters(flows: DecidedFlows, now: number): void {
    if (promoted.size === 0) return
    const counted = new Map(tier.counters().map(({ key, packets }) => [nameOf(key), packets]))
    for (const flow of promoted.values()) {
      const packets = flow.keys.reduce((sum, key) => sum + (counted.get(nameOf(key)) ?? 0), 0)
      if (packets !== flow.packets) {
        flow.packets = packets
        flow.busyAt = now
        flows.keepAlive(flow.number)
      } else if (now - flow.busyAt >= IDLE_MS) withdraw(flow)
    }
  }

  const timer = setInterval(() => look(performance.now()), LOOK_MS)
  return {
    changed,
    suspend,
    look,
    flows: () => promoted.size,
    close() {
      clearInterval(timer)
      for (const flow of promoted.values()) withdraw(flow)
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
