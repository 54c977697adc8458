import type { Code, Space } from '../memory/index.js'
import {
  CHANGE_DONE,
  CHANGE_NO_NODE,
  CHANGE_NO_ROUTE,
  ENTRY_HOP_MASK,
  ENTRY_LENGTH_SHIFT,
  FIB_LENGTHS,
  FIB_LINKS,
  FIB_MOST_ROUTES,
  FIB_NODE_COUNT,
  FIB_NODES,
  FIB_REFUSED_NODES,
  FIB_REFUSED_ROUTES,
  FIB_ROOT,
  FIB_ROOT_BITS,
  FIB_ROOT_SHIFT,
  FIB_ROUTES,
  FIB_SLOT_MASK,
  FIB_SLOTS,
  FIB_USED,
  FIB_WORDS,
  LINK_BYTES,
  MOST_LENGTHS,
  NODE_BYTES,
} from './formats.js'

/** How large the tables of one family are. */
export interface FibOptions {
  /**
   * Bits of an address that the first look-up takes, at 4 bytes for each of
   * 2^bits entries: 24 are 64 MiB and one load for most IPv4 addresses, 16 are
   * 256 KiB and two or three.
   */
  readonly rootBits?: 8 | 16 | 24
  /** Nodes of 1 KiB for what is longer than that. */
  readonly nodes?: number
  /** Routes at most. */
  readonly routes?: number
}

/** Addresses that share their first `length` bits; the others are 0. */
export interface Prefix {
  /** In network order: 4 bytes or 16. */
  readonly address: Uint8Array
  readonly length: number
}

/** Prefixes of one family with the next hop of each; IPv6 has four words a prefix, as numbers from the first on. */
export interface RouteList {
  readonly words: Uint32Array
  readonly lengths: Uint8Array
  readonly hops: Uint32Array
}

/** What a look-up says: next hop 0, with length 0, where no route covers the address. */
export interface Route {
  readonly prefixLength: number
  readonly nextHop: number
}

export interface FibStatistics {
  readonly routes: number
  readonly nodes: number
  /** Routes that were refused, by reason. */
  readonly refused: { readonly 'no node': number; readonly 'table full': number }
}

/** The routes of one family. */
export interface Fib {
  /** The sentence that says why a route was refused; null where it is in. */
  insert(prefix: Prefix, hop: number): string | null
  /** Whether the route was there. */
  remove(prefix: Prefix): boolean
  lookup(address: Uint8Array): Route
  /** Makes these the routes; no address is without its route meanwhile. Gives how many were refused. */
  replace(routes: RouteList): number
  statistics(): FibStatistics
}

/** What is built where options leave it open: a million IPv4 routes, a quarter of a million of IPv6. */
const DEFAULTS = {
  4: { rootBits: 24, nodes: 16_384, routes: 1 << 20 },
  6: { rootBits: 16, nodes: 65_536, routes: 1 << 18 },
} as const

const WORDS = { 4: 1, 6: 4 } as const

/** The parts of a FIB beside its words, by size. */
function partsOf(family: 4 | 6, options: FibOptions) {
  const { rootBits, nodes, routes } = { ...DEFAULTS[family], ...options }
  // At most three slots of four are taken, so that a search ends soon.
  const slots = 2 ** Math.ceil(Math.log2((routes * 4) / 3 + 1))
  const bytes = {
    root: 4 * 2 ** rootBits,
    nodes: nodes * NODE_BYTES,
    links: nodes * LINK_BYTES,
    slots: slots * (WORDS[family] + 1) * 4,
    lengths: MOST_LENGTHS * 4,
  }
  return { rootBits, nodes, routes, slots, bytes }
}

/** Memory that a FIB of these options takes, whatever is in it. */
export function fibBytes(family: 4 | 6, options: FibOptions = {}): number {
  return Object.values(partsOf(family, options).bytes).reduce((sum, bytes) => sum + bytes, 0)
}

/** Reserves the parts of a FIB and writes its words at `address`; gives the names of what is reserved. Throws LayoutError. */
export function layFib(space: Space, name: string, address: number, family: 4 | 6, options: FibOptions): string[] {
  const { rootBits, nodes, routes, slots, bytes } = partsOf(family, options)
  const names: string[] = []
  const reserve = (part: keyof typeof bytes, alignment = 64) => {
    const region = { name: `${name} v${family} ${part}`, kind: 'table' as const, bytes: bytes[part], alignment }
    names.push(region.name)
    return space.reserve(region).offset
  }
  const words: Readonly<Record<number, number>> = {
    [FIB_ROOT]: reserve('root'),
    [FIB_ROOT_SHIFT]: 32 - rootBits,
    [FIB_ROOT_BITS]: rootBits,
    [FIB_WORDS]: WORDS[family],
    // Entries name a node by its address divided by its size.
    [FIB_NODES]: reserve('nodes', NODE_BYTES),
    [FIB_NODE_COUNT]: nodes,
    [FIB_LINKS]: reserve('links'),
    [FIB_SLOTS]: reserve('slots'),
    [FIB_SLOT_MASK]: slots - 1,
    [FIB_MOST_ROUTES]: routes,
    [FIB_LENGTHS]: reserve('lengths'),
  }
  for (const [field, value] of Object.entries(words)) space.words[(address + Number(field)) / 4] = value
  return names
}

/** A FIB that lies at `address`, as the writer's thread sees it. */
export function openFib(space: Space, code: Code, tables: number, address: number, family: 4 | 6): Fib {
  const [insert, remove] = [code.find('fibInsert'), code.find('fibRemove')]
  const [unmark, sweep] = [code.find('fibUnmark'), code.find('fibSweep')]
  const { words, counters } = space
  const read = (field: number) => words[(address + field) / 4]!
  const width = WORDS[family]
  const add = (list: Uint32Array, at: number, length: number, hop: number) =>
    width === 1
      ? insert(tables, address, list[at]!, 0, 0, 0, length, hop)
      : insert(tables, address, list[at]!, list[at + 1]!, list[at + 2]!, list[at + 3]!, length, hop)
  const sentences: Readonly<Record<number, string>> = {
    [CHANGE_NO_NODE]: `all ${read(FIB_NODE_COUNT)} nodes of the IPv${family} table are in use; open it with more`,
    [CHANGE_NO_ROUTE]: `the IPv${family} table has its ${read(FIB_MOST_ROUTES)} routes; open it with more`,
  }
  return {
    insert: (prefix, hop) => sentences[add(wordsOf(prefix.address, width), 0, prefix.length, hop) as number] ?? null,
    remove({ address: bytes, length }) {
      const [w0, w1 = 0, w2 = 0, w3 = 0] = wordsOf(bytes, width)
      return remove(tables, address, w0!, w1, w2, w3, length) === CHANGE_DONE
    },
    lookup: fibReader(code, address, family),
    replace({ words: list, lengths, hops }) {
      unmark(address)
      const [noNode, noRoute] = [
        counters[(address + FIB_REFUSED_NODES) / 8]!,
        counters[(address + FIB_REFUSED_ROUTES) / 8]!,
      ]
      const refused: number[] = []
      for (let route = 0; route < lengths.length; route++) {
        if ((add(list, route * width, lengths[route]!, hops[route]!) as number) >= CHANGE_NO_NODE) refused.push(route)
      }
      sweep(tables, address)
      // What had no place beside the old routes may have one now; only what has none is counted.
      counters[(address + FIB_REFUSED_NODES) / 8] = noNode
      counters[(address + FIB_REFUSED_ROUTES) / 8] = noRoute
      return refused.filter(
        (route) => (add(list, route * width, lengths[route]!, hops[route]!) as number) >= CHANGE_NO_NODE,
      ).length
    },
    statistics: () => ({
      routes: read(FIB_ROUTES),
      nodes: read(FIB_USED),
      refused: {
        'no node': counters[(address + FIB_REFUSED_NODES) / 8]!,
        'table full': counters[(address + FIB_REFUSED_ROUTES) / 8]!,
      },
    }),
  }
}

/** Looks addresses up in a FIB, from any thread; not for packets. */
export function fibReader(code: Code, address: number, family: 4 | 6): Fib['lookup'] {
  const [lookup4, lookup6] = [code.find('fibLookup4'), code.find('fibLookup6')]
  return (bytes) => {
    if (family === 4) return routeOf(lookup4(address, wordsOf(bytes, 1)[0]!) as number)
    const [w0, w1, w2, w3] = wordsOf(bytes, 4)
    return routeOf(lookup6(address, w0!, w1!, w2!, w3!) as number)
  }
}

function routeOf(entry: number): Route {
  return { prefixLength: entry >>> ENTRY_LENGTH_SHIFT, nextHop: entry & ENTRY_HOP_MASK }
}

/** An address as numbers. */
function wordsOf(bytes: Uint8Array, count: number): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Uint32Array.from({ length: count }, (_, index) => view.getUint32(4 * index))
}
