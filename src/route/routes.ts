import { type Code, MOST_WORKERS, type Space } from '../memory/index.js'
import {
  type Fib,
  type FibOptions,
  type FibStatistics,
  fibBytes,
  fibReader,
  layFib,
  openFib,
  type Prefix,
  type Route,
  type RouteList,
} from './fib.js'
import {
  GROUP_BUCKETS,
  HOP_BYTES,
  PORT_BYTES,
  READER_BYTES,
  TABLES_BUCKETS,
  TABLES_BYTES,
  TABLES_GENERATION,
  TABLES_HOPS,
  TABLES_PORTS,
  TABLES_READER_LINES,
  TABLES_SEED,
  TABLES_V4,
  TABLES_V6,
} from './formats.js'
import { type NextHop, openNextHops } from './next-hops.js'
import { openPorts, type Port } from './ports.js'

/** How large a set of tables is. Nothing grows: what does not fit is refused. */
export interface RoutesOptions {
  readonly v4?: FibOptions
  /** Small where it is left out: most routers of IPv4 alone need not say so. */
  readonly v6?: FibOptions
  /** Next hops at most; 4,096 where it is not said. */
  readonly nextHops?: number
  /** Groups at most, of 256 bytes each; 64 where it is not said. */
  readonly groups?: number
  /** 1 to 256; 8 where it is not said. */
  readonly ports?: number
  /** Changes which flows of a group go which way, so that routers in a row do not decide alike. */
  readonly seed?: number
}

/** A set of tables as plain numbers, which another thread can be sent. */
export interface RoutesPlace {
  readonly address: number
  readonly ports: number
}

/** Tables as a thread sees them that only looks things up. */
export interface RouteReader extends RoutesPlace {
  /** The route of an address of 4 or 16 bytes. For people and tests: `forward` is what looks packets up. */
  lookup(address: Uint8Array): Route
  /** Grows with every change; what was kept of an answer holds as long as it stands. */
  generation(): number
}

/**
 * Routes, next hops and ports, which one thread writes while packets flow in
 * others: a packet meets the tables before a change or after it.
 */
export interface Routes extends RouteReader {
  setPort(port: number, value: Port): void
  /** Throws RangeError where there is no room, or it names what is not there. */
  addNextHop(hop: NextHop): number
  changeNextHop(id: number, hop: NextHop): void
  /** After the last route to it. */
  removeNextHop(id: number): void
  /**
   * Null, or the sentence that says why the route was refused, which changes nothing; bits behind
   * the prefix are ignored. Throws RangeError for what is no prefix, as `remove` does.
   */
  insert(prefix: Prefix, nextHop: number): string | null
  /** Whether there was such a route. */
  remove(prefix: Prefix): boolean
  /** Makes these the routes of the families that are named; gives how many were refused. */
  replace(routes: { readonly v4?: RouteList; readonly v6?: RouteList }): number
  statistics(): { readonly v4: FibStatistics; readonly v6: FibStatistics }
  /** Frees the memory; no stage may use it any more. */
  close(): void
}

const NEXT_HOPS = 4096
const GROUPS = 64
const PORTS = 8
/** One of many odd numbers. */
const SEED = 0x9e3779b1

/** Memory that tables of these options take, whatever is in them; regions are rounded to lines. */
export function routesBytes({ v4, v6, nextHops = NEXT_HOPS, groups = GROUPS, ports = PORTS }: RoutesOptions): number {
  const readers = (MOST_WORKERS + 1) * READER_BYTES
  const others = TABLES_BYTES + readers + nextHops * HOP_BYTES + groups * GROUP_BUCKETS * 4 + ports * PORT_BYTES
  return fibBytes(4, v4) + fibBytes(6, v6) + others
}

/** Lays empty tables out. Throws LayoutError. */
export function openRoutes(space: Space, code: Code, name: string, options: RoutesOptions = {}): Routes {
  const { nextHops = NEXT_HOPS, groups = GROUPS, ports: portCount = PORTS, seed = SEED, v4 = {}, v6 = {} } = options
  const names: string[] = []
  const reserve = (part: string, bytes: number) => {
    const region = space.reserve({ name: `routes ${name} ${part}`, kind: 'table', bytes })
    names.push(region.name)
    return region.offset
  }
  const address = reserve('head', TABLES_BYTES)
  const place: RoutesPlace = { address, ports: portCount }
  const head = {
    [TABLES_GENERATION]: 1,
    [TABLES_READER_LINES]: reserve('readers', (MOST_WORKERS + 1) * READER_BYTES),
    [TABLES_HOPS]: reserve('next hops', nextHops * HOP_BYTES),
    [TABLES_PORTS]: reserve('ports', portCount * PORT_BYTES),
    [TABLES_BUCKETS]: reserve('groups', groups * GROUP_BUCKETS * 4),
    [TABLES_SEED]: seed | 1,
  }
  for (const [field, value] of Object.entries(head)) space.words[(address + Number(field)) / 4] = value
  names.push(...layFib(space, `routes ${name}`, address + TABLES_V4, 4, v4))
  names.push(...layFib(space, `routes ${name}`, address + TABLES_V6, 6, v6))
  const fibs: Readonly<Record<number, Fib>> = {
    4: openFib(space, code, address, address + TABLES_V4, 4),
    16: openFib(space, code, address, address + TABLES_V6, 6),
  }
  const ports = openPorts(space, head[TABLES_PORTS], portCount)
  const hopPlace = { hops: head[TABLES_HOPS], count: nextHops, buckets: head[TABLES_BUCKETS], groups, tables: address }
  const hops = openNextHops(space, code, hopPlace, ports)
  const advance = code.find('tablesAdvance')
  const fibOf = ({ address: { length: bytes }, length }: Prefix) => {
    const fib = fibs[bytes]
    if (fib !== undefined && Number.isInteger(length) && length >= 0 && length <= 8 * bytes) return fib
    throw new RangeError(
      `${length} bits of an address of ${bytes} bytes are no prefix; give up to 32 of 4, or 128 of 16`,
    )
  }
  return {
    ...attachRoutes(space, code, place),
    setPort(port, value) {
      if (!ports.set(port, value)) return
      hops.refreshPort(port)
      // Also where nothing leaves by it: what comes in by it may be forwarded no more.
      advance(address)
    },
    addNextHop: hops.add,
    changeNextHop: hops.change,
    removeNextHop: hops.remove,
    insert: (prefix, nextHop) => fibOf(prefix).insert(prefix, nextHop),
    remove: (prefix) => fibOf(prefix).remove(prefix),
    replace: (routes) => (routes.v4 ? fibs[4]!.replace(routes.v4) : 0) + (routes.v6 ? fibs[16]!.replace(routes.v6) : 0),
    statistics: () => ({ v4: fibs[4]!.statistics(), v6: fibs[16]!.statistics() }),
    close() {
      for (const region of names) space.free(region)
    },
  }
}

/** Tables that another thread has opened. */
export function attachRoutes(space: Space, code: Code, place: RoutesPlace): RouteReader {
  const { address } = place
  const readers: Readonly<Record<number, Fib['lookup']>> = {
    4: fibReader(code, address + TABLES_V4, 4),
    16: fibReader(code, address + TABLES_V6, 6),
  }
  return {
    ...place,
    lookup: (bytes) => readers[bytes.length]!(bytes),
    generation: () => Atomics.load(space.words, (address + TABLES_GENERATION) / 4),
  }
}
