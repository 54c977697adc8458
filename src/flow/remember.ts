import type { Stage } from '../engine/index.js'
import type { Flows } from './flows.js'
import { IN_PORT_SHIFT, MOST_REMEMBERED_PORTS } from './formats.js'

export interface RememberOptions {
  /** The port by which the packets have come, as `track` and `forward` have it. */
  readonly inPort: number
  /** The port by which they leave: this stage stands at that output of `forward`. */
  readonly port: number
}

/**
 * Remembers with a packet's flow how it leaves: by which port, and with which
 * Ethernet addresses. `track` with `routes` uses that for the packets that
 * follow, as long as no route, neighbour or port changes. Between ports from 16
 * on nothing is remembered; their packets go through `forward` each time.
 */
export function remember(name: string, flows: Flows, { inPort, port }: RememberOptions): Stage {
  const isPossible = inPort < MOST_REMEMBERED_PORTS && port < MOST_REMEMBERED_PORTS
  return {
    name,
    outputs: ['out'],
    drops: [],
    kind: 'remember',
    settings: { flows, inPort, port },
    start({ code }) {
      const run = code.find('remember')
      const ports = (inPort << IN_PORT_SHIFT) | port
      return { run: isPossible ? (bundle) => run(flows.address, bundle, ports) : () => {} }
    },
  }
}
