import type { Stage } from '../engine/index.js'
import { MOST_IN_BUNDLE } from '../memory/index.js'
import {
  FORWARD_CHECKSUM,
  FORWARD_MARTIANS,
  NO_PORT,
  PORT_BYTES,
  PORT_FORWARDS,
  PORT_SETTINGS,
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
  STAGE_SPECIAL,
  STAGE_TABLES,
  TABLES_PORTS,
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
  'no port',
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
      const special = reserve('special', 'table', 256)
      space.bytes.set(
        Uint8Array.from({ length: 256 }, (_, byte) => (isSpecial(byte) ? 1 : 0)),
        special,
      )
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
        [STAGE_SPECIAL]: special,
      }
      for (const [field, value] of Object.entries(settings)) words[(stage + Number(field)) / 4] = value
      if (inPort === null) words[(settings[STAGE_PORT_LINE]! + PORT_SETTINGS) / 4] = PORT_FORWARDS
      const run = code.find('forward')
      return { run: (bundle) => run(stage, pool.address, bundle) }
    },
  }
}

/** This network, loopback, multicast, and what is reserved behind it. */
function isSpecial(firstByte: number): boolean {
  return firstByte === 0 || firstByte === 127 || firstByte >= 224
}
