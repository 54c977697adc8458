import type { Stage } from '../engine/index.js'
import { PORT_BYTES, type RoutesPlace, TABLES_PORTS } from '../route/index.js'
import type { Flows } from './flows.js'
import {
  TRANSLATE_BYTES,
  TRANSLATE_DROPS,
  TRANSLATE_FLOWS,
  TRANSLATE_POOL,
  TRANSLATE_PORT,
  TRANSLATE_PORT_LINE,
} from './formats.js'

export interface TranslateOptions {
  readonly routes: RoutesPlace
  /** The port by which the packets leave: this stage stands at that output of `forward`. */
  readonly port: number
}

/**
 * Translates the sources of packets by the rules of their table of flows, once
 * `forward` has said by which port they leave; `track` has translated their
 * destinations. It stands before `remember`. A flow ends, and its packet is
 * dropped, where every port that was tried is another flow's (`no port`), where
 * the port has no address to masquerade by (`no address`), or not that one any
 * more (`address changed`). `flow ended`: the packet has waited too long.
 */
export function translate(name: string, flows: Flows, { routes, port }: TranslateOptions): Stage {
  return {
    name,
    outputs: ['out'],
    drops: DROPS,
    kind: 'translate',
    settings: { flows, routes: routes.address, port },
    start({ space, code, pool, drops, reserve }) {
      const stage = reserve('settings', 'state', TRANSLATE_BYTES)
      const settings = {
        [TRANSLATE_POOL]: pool.address,
        [TRANSLATE_FLOWS]: flows.address,
        [TRANSLATE_DROPS]: drops,
        [TRANSLATE_PORT_LINE]: space.words[(routes.address + TABLES_PORTS) / 4]! + port * PORT_BYTES,
        [TRANSLATE_PORT]: port,
      }
      for (const [field, value] of Object.entries(settings)) space.words[(stage + Number(field)) / 4] = value
      const run = code.find('translate')
      return { run: (bundle) => run(stage, bundle) }
    },
  }
}

/**
 * Gives packets the destination back that `track` has translated: it stands
 * before `errors`, so that who gets an ICMP error sees his own packet in it.
 */
export function restore(name: string, flows: Flows): Stage {
  return {
    name,
    outputs: ['out'],
    drops: [],
    kind: 'restore',
    settings: { flows },
    start({ code }) {
      const run = code.find('restore')
      return { run: (bundle) => run(flows.address, bundle) }
    },
  }
}

/** In the order of `TRANSLATE_…`. */
const DROPS = ['no port', 'no address', 'address changed', 'flow ended'] as const
