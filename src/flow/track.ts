import type { RunningStage, Stage } from '../engine/index.js'
import { openReader, PORT_BYTES, type RoutesPlace, TABLES_PORTS } from '../route/index.js'
import type { Flows } from './flows.js'
import {
  DROP_LATE,
  MOST_REMEMBERED_PORTS,
  TRACK_BYTES,
  TRACK_CACHES,
  TRACK_DROPS,
  TRACK_FLOWS,
  TRACK_MARKS,
  TRACK_OUTPUTS,
  TRACK_POOL,
  TRACK_PORT,
  TRACK_PORT_LINE,
  TRACK_READER,
  TRACK_READY,
  TRACK_ROUTES,
  TRACK_SETTINGS,
  TRACK_WORKERS,
} from './formats.js'
import { DATAGRAMS_ALL } from './fragment-formats.js'
import { othersOf } from './owner.js'

export interface TrackOptions {
  /**
   * The tables that `forward` decides by, where `remember` stands behind it:
   * for each of their ports, 16 at most, there is an output `cached N`. Without
   * them nothing is remembered, and packets are not marked with their flow.
   */
  readonly routes?: RoutesPlace
  /** The port by which the packets of this stage come; 0 where it is not said. */
  readonly inPort?: number
}

/**
 * Looks each packet's flow up, once, and judges the packet by it, as Linux's
 * connection tracking does. `established`: of a flow that has been answered;
 * `new`: of one that has not; `related`: an ICMP error about a flow's packet;
 * `invalid`: no packet that a flow could have; `untracked`: frames with VLAN
 * tags, neighbour discovery, what is not IP or not whole, and fragments for the
 * router itself. `cached N` is ready to be sent by port N: the decision that was
 * taken for its flow is still good, and the packet is rewritten by it. Where the
 * table has rules of translation, destinations are translated here, and all of a
 * `cached N` packet is. Fragments go where the first of their datagram does, for
 * which they wait; one of a flow that is another worker's leaves by `worker N`,
 * to the ring behind which `arrived` is. The clock and the sweep of the table go on
 * once a round.
 */
export function track(name: string, flows: Flows, { routes, inPort = 0 }: TrackOptions = {}): Stage {
  const ports = routes === undefined ? 0 : Math.min(routes.ports, MOST_REMEMBERED_PORTS)
  const others = flows.gathers ? othersOf(flows) : []
  return {
    name,
    outputs: [
      ...OUTPUTS,
      ...Array.from({ length: ports }, (_, port) => `cached ${port}`),
      ...others.map((other) => `worker ${other}`),
    ],
    drops: DROPS,
    kind: 'track',
    settings: { flows, routes: routes?.address ?? 0, ports, inPort },
    start({ space, code, pool, outputs, drops, reserve }): RunningStage {
      const { words } = space
      const [stage, table] = [
        reserve('settings', 'state', TRACK_BYTES),
        reserve('outputs', 'table', outputs.length * 4),
      ]
      words.set(outputs, table / 4)
      const settings = {
        [TRACK_POOL]: pool.address,
        [TRACK_FLOWS]: flows.address,
        [TRACK_OUTPUTS]: table,
        [TRACK_DROPS]: drops,
        [TRACK_SETTINGS]: routes === undefined ? 0 : TRACK_MARKS | TRACK_CACHES,
        [TRACK_ROUTES]: routes?.address ?? 0,
        [TRACK_PORT_LINE]: routes === undefined ? 0 : words[(routes.address + TABLES_PORTS) / 4]! + inPort * PORT_BYTES,
        [TRACK_PORT]: inPort,
        [TRACK_WORKERS]: OUTPUTS.length + ports,
        [TRACK_READER]: routes === undefined ? 0 : openReader(space, routes, pool.number),
      }
      for (const [field, value] of Object.entries(settings)) words[(stage + Number(field)) / 4] = value
      const run = code.find('track')
      if (!flows.gathers) return { run: (bundle) => run(stage, bundle), flush: () => flows.tick() }
      const [runWaiting, close] = [code.find('trackWaiting'), code.find('trackClose')]
      const [ready, datagrams] = [(stage + TRACK_READY) / 4, (flows.fragments + DATAGRAMS_ALL) / 4]
      const hasMore = () => words[ready] !== 0
      return {
        run: (bundle) => (words[bundle / 4] === 0 ? runWaiting(stage, bundle, DROP_LATE) : run(stage, bundle)),
        hasMore,
        flush(bundle) {
          flows.tick()
          if (hasMore() || words[datagrams] !== 0) runWaiting(stage, bundle, DROP_LATE)
        },
        close: () => close(stage, DROP_LATE),
      }
    },
  }
}

/** In the order of `VERDICT_…`. */
const OUTPUTS = ['established', 'new', 'related', 'invalid', 'untracked'] as const

/** In the order of `DROP_…`. */
const DROPS = [
  ...['table full', 'bucket full', 'fragment', 'no port'],
  ...['malformed fragment', 'short first fragment', 'fragment twice', 'fragments overlap'],
  ...['fragment without the first', 'no room for a fragment', 'fragment of what was dropped'],
] as const
