import type { Stage } from '../engine/index.js'
import type { Flows } from './flows.js'
import { OWNER_BYTES, OWNER_FLOWS, OWNER_OUTPUTS, OWNER_PORT } from './formats.js'

/**
 * Shares packets out to the workers whose tables have their flows, as
 * `FlowsOptions.owner` numbers them: what is this worker's, or no flow's (what
 * is not IP), leaves by `own`, the rest by `worker N`, to a ring there, where
 * `arrived` stands behind it. Both directions of a flow, and the ICMP errors
 * about it, go one way, each in its order. Fragments, of which most have no
 * ports, go to one worker with all others of their datagram, and on from there.
 * `inPort` is the port by which the packets have come, which goes along.
 */
export function owner(name: string, flows: Flows, { inPort }: { readonly inPort: number }): Stage {
  const others = othersOf(flows)
  return {
    name,
    outputs: ['own', ...others.map((other) => `worker ${other}`)],
    drops: [],
    kind: 'owner',
    settings: { flows, inPort },
    start({ space, code, outputs, reserve }) {
      const [stage, table] = [
        reserve('settings', 'state', OWNER_BYTES),
        reserve('outputs', 'table', flows.owner.count * 4),
      ]
      others.forEach((other, order) => {
        space.words[table / 4 + other] = outputs[order + 1]!
      })
      const settings = { [OWNER_FLOWS]: flows.address, [OWNER_OUTPUTS]: table, [OWNER_PORT]: inPort }
      for (const [field, value] of Object.entries(settings)) space.words[(stage + Number(field)) / 4] = value
      const run = code.find('owner')
      return { run: (bundle) => run(stage, bundle) }
    },
  }
}

/** Takes what `owner` of other workers has handed over: `port N` is the port by which it has come there, of so many. */
export function arrived(name: string, ports: number): Stage {
  return {
    name,
    outputs: Array.from({ length: ports }, (_, port) => `port ${port}`),
    drops: [],
    kind: 'arrived',
    settings: { ports },
    start({ space, code, outputs, reserve }) {
      const table = reserve('outputs', 'table', ports * 4)
      space.words.set(outputs, table / 4)
      const run = code.find('arrived')
      return { run: (bundle) => run(bundle, table) }
    },
  }
}

/** Numbers of the other workers that have flows. */
export function othersOf({ owner: { number, count } }: Flows): number[] {
  return Array.from({ length: count }, (_, other) => other).filter((other) => other !== number)
}
