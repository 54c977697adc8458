import type { RunningStage, Stage } from '../engine/index.js'
import type { Flows } from './flows.js'

export interface TrackOptions {
  /** Ports for which `remember` keeps decisions, from 0 on: as many outputs, `cached 0` and so on; none where it is not said. */
  readonly ports?: number
}

/**
 * Looks each packet's flow up, once, and judges the packet by it, as Linux's
 * connection tracking does. `established`: of a flow that has been answered;
 * `new`: of one that has not; `related`: an ICMP error about a flow's packet;
 * `invalid`: no packet that a flow could have; `untracked`: fragments, frames
 * with VLAN tags, neighbour discovery, and what is not IP. `cached N` is ready
 * to be sent by port N: the decision that was taken for its flow is still good,
 * and the packet is rewritten by it. The clock and the sweep of the table go on once a round.
 */
export function track(name: string, flows: Flows, { ports = 0 }: TrackOptions = {}): Stage {
  return {
    name,
    outputs: [...OUTPUTS, ...Array.from({ length: ports }, (_, port) => `cached ${port}`)],
    drops: ['table full', 'bucket full', 'fragment'],
    kind: 'track',
    settings: { flows, ports },
    start({ space, code, pool, outputs, drops, reserve }): RunningStage {
      const table = reserve('outputs', 'table', outputs.length * 4)
      space.words.set(outputs, table / 4)
      const run = code.find('track')
      return {
        run: (bundle) => run(pool.address, flows.address, bundle, table, drops),
        flush: () => flows.tick(),
      }
    },
  }
}

/** In the order of `VERDICT_…`. */
const OUTPUTS = ['established', 'new', 'related', 'invalid', 'untracked'] as const
