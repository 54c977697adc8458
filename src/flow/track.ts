import type { RunningStage, Stage } from '../engine/index.js'
import { PORT_BYTES, type RoutesPlace, TABLES_PORTS } from '../route/index.js'
import type { Flows } from './flows.js'
import {
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
  TRACK_ROUTES,
  TRACK_SETTINGS,
} from './formats.js'

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
 * `invalid`: no packet that a flow could have; `untracked`: fragments, frames
 * with VLAN tags, neighbour discovery, and what is not IP or not whole. `cached
 * N` is ready to be sent by port N: the decision that was taken for its flow is
 * still good, and the packet is rewritten by it. Where the table has rules of
 * translation, destinations are translated here, all of a `cached N` packet is,
 * and fragments are dropped, for their ports are not known. The clock and the sweep of the
 * table go on once a round.
 */
export function track(name: string, flows: Flows, { routes, inPort = 0 }: TrackOptions = {}): Stage {
  const ports = routes === undefined ? 0 : Math.min(routes.ports, MOST_REMEMBERED_PORTS)
  return {
    name,
    outputs: [...OUTPUTS, ...Array.from({ length: ports }, (_, port) => `cached ${port}`)],
    drops: ['table full', 'bucket full', 'fragment', 'no port'],
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
      }
      for (const [field, value] of Object.entries(settings)) words[(stage + Number(field)) / 4] = value
      const run = code.find('track')
      return { run: (bundle) => run(stage, bundle), flush: () => flows.tick() }
    },
  }
}

/** In the order of `VERDICT_…`. */
const OUTPUTS = ['established', 'new', 'related', 'invalid', 'untracked'] as const
