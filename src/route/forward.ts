import type { Stage } from '../engine/index.js'
import { MOST_IN_BUNDLE } from '../memory/index.js'
import {
  FORWARD_CHECKSUM,
  FORWARD_MARTIANS,
  NO_PORT,
  PLAIN_IPV4,
  PORT_BYTES,
  PORT_FORWARDS,
  PORT_SETTINGS,
  PORT_TYPES,
  STAGE_BYTES,
  STAGE_DROPS,
  STAGE_ENDS,
  STAGE_LEAVES,
  STAGE_OUTPUTS,
  STAGE_PORT,
  STAGE_PORT_LINE,
  STAGE_PORTS,
  STAGE_READER,
  STAGE_SETTINGS,
  STAGE_TABLES,
  STAGE_VECTORS,
  TABLES_PORTS,
  VECTOR_BARRED,
  VECTOR_BARRED_WHERE,
  VECTOR_IPV6,
  VECTOR_LEAST,
  VECTOR_OWN_WHERE,
  VECTOR_SPREAD,
  VECTOR_SWAP,
  VECTORS_BYTES,
} from './formats.js'
import { openReader } from './readers.js'
import type { RoutesPlace } from './routes.js'

export interface ForwardOptions {
  /**
   * The port by which the packets of this stage come. Null: they are the
   * router's own, such as the answers of `errors`, and their Ethernet addresses
   * are zeros; where they come from is not questioned.
   */
  readonly inPort: number | null
  /** Whether the checksum of IPv4 headers is verified; true where it is not said (RFC 1812, 5.2.2). */
  readonly checksum?: boolean
  /** `drop` where it is not said: packets from or to addresses that no route is for (RFC 1812, 5.3.7). */
  readonly martians?: 'drop' | 'route'
}

/** In the order of DROP_…. */
const DROPS = [
  'other host',
  'malformed',
  'bad checksum',
  'martian',
  'link broadcast',
  'reverse path',
  'blackhole',
  'forwarding off',
] as const

/**
 * Routes packets of one port: looks their destination up, takes one off the
 * time to live, writes the next hop's Ethernet addresses, and gives them to the
 * output of its port, `port 0`, `port 1`, …. Others go, as they came,
 *
 * - to `local`: for the router itself, for many, and what is not IP or has VLAN tags;
 * - to `unresolved`: what waits for a neighbour's address;
 * - to `errors`: what an ICMP error says something about.
 *
 * NOTE_… of formats.ts has what is noted about the latter two.
 */
export function forward(name: string, tables: RoutesPlace, options: ForwardOptions): Stage {
  const { inPort, checksum = true, martians = 'drop' } = options
  const { address, ports } = tables
  return {
    name,
    outputs: [...Array.from({ length: ports }, (_, port) => `port ${port}`), 'local', 'unresolved', 'errors'],
    drops: DROPS,
    kind: 'forward',
    settings: { address, ports, inPort, checksum, martians },
    start({ space, code, pool, outputs, drops, reserve }) {
      const { words } = space
      const head = (field: number) => words[(address + field) / 4]!
      const [stage, list] = [reserve('settings', 'state', STAGE_BYTES), reserve('outputs', 'table', outputs.length * 4)]
      words.set(outputs, list / 4)
      const vectors = reserve('vectors', 'table', VECTORS_BYTES)
      space.bytes.set(VECTORS, vectors)
      const settings = {
        [STAGE_TABLES]: address,
        [STAGE_READER]: openReader(space, tables, pool.number),
        [STAGE_PORT]: inPort ?? NO_PORT,
        [STAGE_PORT_LINE]:
          inPort === null ? reserve('port', 'state', PORT_BYTES) : head(TABLES_PORTS) + inPort * PORT_BYTES,
        [STAGE_PORTS]: ports,
        [STAGE_SETTINGS]: (checksum ? FORWARD_CHECKSUM : 0) | (martians === 'route' ? FORWARD_MARTIANS : 0),
        [STAGE_OUTPUTS]: list,
        [STAGE_ENDS]: reserve('ends', 'state', outputs.length * 4),
        [STAGE_DROPS]: drops,
        [STAGE_LEAVES]: reserve('leaves', 'state', MOST_IN_BUNDLE * 4),
        [STAGE_VECTORS]: vectors,
      }
      for (const [field, value] of Object.entries(settings)) words[(stage + Number(field)) / 4] = value
      if (inPort === null) {
        words[(settings[STAGE_PORT_LINE]! + PORT_SETTINGS) / 4] = PORT_FORWARDS
        words[(settings[STAGE_PORT_LINE]! + PORT_TYPES) / 4] = PLAIN_IPV4
      }
      const run = code.find('forward')
      return { run: (bundle) => run(stage, pool.address, bundle) }
    },
  }
}

/** Of the bytes 18 to 33 of a packet: time to live, and the first byte of source and destination. */
const [LIVES, SOURCE, DESTINATION] = [4, 8, 12]

/**
 * What usual packets have: the port's Ethernet address (6 bytes), EtherType,
 * version and header length; 2 lives, because one is taken off; addresses that
 * begin with 1 to 223 and not 127, so that they are not of this network, of many,
 * of the loopback, or reserved.
 */
const VECTORS = new Uint8Array(VECTORS_BYTES)
VECTORS.set([255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 255, 255, 0], VECTOR_OWN_WHERE)
VECTORS.set(lanes(0, { [LIVES]: 2, [SOURCE]: 1, [DESTINATION]: 1 }), VECTOR_LEAST)
VECTORS.set(lanes(255, { [LIVES]: 253, [SOURCE]: 222, [DESTINATION]: 222 }), VECTOR_SPREAD)
VECTORS.set(lanes(0, { [SOURCE]: 127, [DESTINATION]: 127 }), VECTOR_BARRED)
VECTORS.set(lanes(0, { [SOURCE]: 255, [DESTINATION]: 255 }), VECTOR_BARRED_WHERE)
VECTORS.set([3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12], VECTOR_SWAP)
VECTORS.set(lanes(0, { 0: 0x86, 1: 0xdd, 4: 0x86, 5: 0xdd, 8: 0x86, 9: 0xdd, 12: 0x86, 13: 0xdd }), VECTOR_IPV6)

/** 16 bytes that are `others`, but for those that are said. */
function lanes(others: number, some: Readonly<Record<number, number>>): Uint8Array {
  return Object.assign(new Uint8Array(16).fill(others), some)
}
