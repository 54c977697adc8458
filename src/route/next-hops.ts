import type { Code, Space } from '../memory/index.js'
import {
  GROUP_BUCKETS,
  HOP_ADDRESSES,
  HOP_BUCKETS,
  HOP_BYTES,
  HOP_SOURCE,
  HOP_WAY,
  KIND_BLACKHOLE,
  KIND_FORWARD,
  KIND_GROUP,
  KIND_LOCAL,
  KIND_PROHIBIT,
  KIND_UNREACHABLE,
  KIND_UNRESOLVED,
  TABLES_GENERATION,
  WAY_KIND_SHIFT,
  WAY_MTU_SHIFT,
} from './formats.js'
import type { Ports } from './ports.js'

/**
 * What happens to packets of a route. `forward` rewrites the Ethernet addresses
 * and sends by the port; `unresolved` waits for the neighbour's address; the
 * others are as route types of the kernel. A `group` shares its flows out among
 * next hops by their hash, as often as their weights say (1 where it is not said).
 */
export type NextHop =
  | {
      readonly kind: 'forward'
      readonly port: number
      readonly mac: Uint8Array
      /** Where it is less than the port's. */
      readonly mtu?: number
      /** Which of the port's addresses ICMP errors come from; the first where it is not said. */
      readonly source?: number
    }
  | { readonly kind: 'unresolved'; readonly port: number; readonly mtu?: number; readonly source?: number }
  | { readonly kind: 'local' | 'blackhole' | 'unreachable' | 'prohibit' }
  | { readonly kind: 'group'; readonly members: readonly { readonly hop: number; readonly weight?: number }[] }

export interface NextHops {
  /** The number of a new one. Throws RangeError where there is no room, or it names what is not there. */
  add(hop: NextHop): number
  /**
   * Makes it another one, for packets that are looked up from now on; one of a
   * port stays with its port. Throws RangeError.
   */
  change(id: number, hop: NextHop): void
  /** No route may lead to it any more; its number is given out again once no reader can have it. */
  remove(id: number): void
  /** The next hops that go by a port get its Ethernet address and MTU anew. */
  refreshPort(port: number): void
}

const KINDS = {
  forward: KIND_FORWARD,
  local: KIND_LOCAL,
  blackhole: KIND_BLACKHOLE,
  unreachable: KIND_UNREACHABLE,
  prohibit: KIND_PROHIBIT,
  unresolved: KIND_UNRESOLVED,
  group: KIND_GROUP,
} as const

/** A packet is not longer than that anyway. */
const MOST_MTU = 0xffff

/** Where the next hops of a set of tables lie, and how many there may be. */
export interface HopPlace {
  readonly tables: number
  readonly hops: number
  readonly count: number
  readonly buckets: number
  readonly groups: number
}

/** The next hops as the writer's thread sees them. */
export function openNextHops(space: Space, code: Code, place: HopPlace, ports: Ports): NextHops {
  const { words, bytes, memory } = space
  const [advance, isUnseen] = [code.find('tablesAdvance'), code.find('tablesUnseen')]
  const known = new Map<number, NextHop>()
  const ids = openNumbers(1, place.count, isGone)
  const rows = openNumbers(0, place.groups, isGone)
  const rowOf = new Map<number, number>()
  const lineOf = (id: number) => place.hops + id * HOP_BYTES
  const view = new DataView(memory.buffer)

  function isGone(generation: number): boolean {
    return isUnseen(place.tables, generation) !== 0
  }
  const generation = () => words[(place.tables + TABLES_GENERATION) / 4]!

  /** Addresses first: who reads the way finds them there. */
  function write(id: number, hop: NextHop): void {
    const line = lineOf(id)
    if (hop.kind === 'group') writeBuckets(id, hop.members)
    if ('port' in hop) {
      const { mac, mtu } = ports.read(hop.port)
      // One store: a packet gets the neighbour's old address or its new one.
      if (hop.kind === 'forward') store8(line + HOP_ADDRESSES, hop.mac, mac)
      bytes.set(mac.subarray(2), line + HOP_ADDRESSES + 8)
      words[(line + HOP_SOURCE) / 4] = hop.source ?? 0
      setWay(line, KINDS[hop.kind], hop.port, Math.min(hop.mtu ?? mtu, mtu, MOST_MTU))
    } else setWay(line, KINDS[hop.kind], 0, 0)
    known.set(id, hop)
    advance(place.tables)
  }

  function store8(at: number, mac: Uint8Array, source: Uint8Array): void {
    const word = new DataView(Uint8Array.of(...mac, source[0]!, source[1]!).buffer).getBigUint64(0, true)
    view.setBigUint64(at, word, true)
  }

  function setWay(line: number, kind: number, port: number, mtu: number): void {
    Atomics.store(words, (line + HOP_WAY) / 4, port | (mtu << WAY_MTU_SHIFT) | (kind << WAY_KIND_SHIFT))
  }

  function writeBuckets(id: number, members: readonly { readonly hop: number; readonly weight?: number }[]): void {
    const row = rowOf.get(id)!
    const first = place.buckets / 4 + row * GROUP_BUCKETS
    shareOut(members).forEach((hop, bucket) => {
      Atomics.store(words, first + bucket, hop)
    })
    words[(lineOf(id) + HOP_BUCKETS) / 4] = row * GROUP_BUCKETS
  }

  function check(hop: NextHop): void {
    if ('port' in hop && !ports.has(hop.port)) throw new RangeError(`there is no port ${hop.port}; set it first`)
    if (hop.kind === 'forward' && hop.mac.length !== 6) throw new RangeError('an Ethernet address has 6 bytes')
    if (hop.kind !== 'group') return
    if (hop.members.length === 0 || hop.members.length > GROUP_BUCKETS)
      throw new RangeError(`a group has 1 to ${GROUP_BUCKETS} members, not ${hop.members.length}`)
    for (const { hop: member } of hop.members) {
      const { kind } = known.get(member) ?? { kind: 'group' }
      if (kind === 'group') throw new RangeError(`${member} is no next hop that a group could have`)
    }
  }

  return {
    add(hop) {
      check(hop)
      const row = hop.kind === 'group' ? rows.take() : undefined
      if (row === null) throw new RangeError(`there are ${place.groups} groups already; open the tables with more`)
      const id = ids.take()
      if (id === null) {
        if (row !== undefined) rows.give(row, generation())
        throw new RangeError(`there are ${place.count} next hops already; open the tables with more`)
      }
      if (row !== undefined) rowOf.set(id, row)
      write(id, hop)
      return id
    },
    change(id, hop) {
      check(hop)
      const before = known.get(id)
      if (before === undefined) throw new RangeError(`there is no next hop ${id}`)
      const [from, to] = ['port' in before ? before.port : null, 'port' in hop ? hop.port : null]
      if (from !== null && to !== null && from !== to)
        throw new RangeError(`next hop ${id} is of port ${from}, not ${to}; add another one and change the routes`)
      if ((before.kind === 'group') !== (hop.kind === 'group'))
        throw new RangeError(`next hop ${id} cannot become a group, nor a group another; add one and change the routes`)
      // Who keeps answers is not to ask again because a neighbour is still who it was.
      if (!isSame(before, hop)) write(id, hop)
    },
    remove(id) {
      if (!known.delete(id)) throw new RangeError(`there is no next hop ${id}`)
      const row = rowOf.get(id)
      rowOf.delete(id)
      ids.give(id, generation())
      if (row !== undefined) rows.give(row, generation())
      advance(place.tables)
    },
    refreshPort(port) {
      for (const [id, hop] of known) if ('port' in hop && hop.port === port) write(id, hop)
    },
  }
}

/** Whether packets are forwarded alike; of groups nobody looks. */
function isSame(one: NextHop, other: NextHop): boolean {
  if (one.kind !== other.kind || one.kind === 'group') return false
  if (!('port' in one && 'port' in other)) return true
  if (one.port !== other.port || one.mtu !== other.mtu || one.source !== other.source) return false
  return one.kind !== 'forward' || other.kind !== 'forward' || Buffer.compare(one.mac, other.mac) === 0
}

/** Numbers of `first` to `end` - 1 that are given out; one that comes back waits until nobody can have it any more. */
function openNumbers(first: number, end: number, isGone: (generation: number) => boolean) {
  let fresh = first
  const free: number[] = []
  const waiting: { readonly number: number; readonly generation: number }[] = []
  return {
    take(): number | null {
      while (waiting.length > 0 && isGone(waiting[0]!.generation)) free.push(waiting.shift()!.number)
      return free.pop() ?? (fresh < end ? fresh++ : null)
    },
    give(number: number, generation: number) {
      waiting.push({ number, generation })
    },
  }
}

/** A next hop for each bucket, as often as its weight asks: by largest remainders, each at least once. */
function shareOut(members: readonly { readonly hop: number; readonly weight?: number }[]): number[] {
  const weights = members.map(({ weight = 1 }) => weight)
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  const counts = weights.map((weight) => Math.max(1, Math.floor((weight * GROUP_BUCKETS) / all)))
  const lack = (member: number) => (weights[member]! * GROUP_BUCKETS) / all - counts[member]!
  const order = members.map((_, member) => member)
  for (let left = GROUP_BUCKETS - counts.reduce((sum, count) => sum + count, 0); left !== 0; left -= Math.sign(left)) {
    // Where each has at least one bucket there may be too many: who has most beyond its share gives one.
    const ranked = order.filter((member) => left > 0 || counts[member]! > 1).sort((a, b) => lack(b) - lack(a))
    counts[left > 0 ? ranked[0]! : ranked.at(-1)!]! += Math.sign(left)
  }
  return members.flatMap(({ hop }, member) => new Array<number>(counts[member]!).fill(hop))
}
