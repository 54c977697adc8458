import { type Link, type NetworkNamespace, parseMac } from '../../kernel/index.js'
import type { Attach, XdpMode } from '../../loader/index.js'
import type { Space } from '../../memory/index.js'
import { openFront } from '../../offload/index.js'
import { type Routes, TABLES_GENERATION } from '../../route/index.js'
import type { RouterPort } from './port.js'
import { openPromoter, type Promoter } from './promoter.js'
import type { DrivenFlow, FlowTables } from './router-flows.js'

/** Busy flows of a router's engine, forwarded in the drivers of its ports. */
export interface Offload {
  /** Puts the flow tables in front of the ports' policies, and begins to fill them. Throws LoadError and RedirectError. */
  attach(): XdpMode[]
  /** The policy of a port may be another program now. */
  follow(port: number): void
  setMac(port: number, mac: string): void
  /** Routes may have changed. */
  changed(): void
  /** Many routes may change in a moment: nothing is forwarded in the drivers once this returns, until flows are busy again. */
  suspend(): void
  totals(): OffloadTotals
  /** What the drivers have forwarded of the flows that are there, by worker and by the flow's number. */
  counted(): ReadonlyMap<number, DrivenFlow>[]
  close(): void
}

export interface OffloadTotals {
  /** Forwarded in the drivers. */
  readonly packets: number
  /** That are forwarded there now. */
  readonly flows: number
}

export interface OffloadOptions {
  readonly space: Space
  readonly tables: Pick<Routes, 'address'>
  readonly links: readonly Link[]
  readonly ports: readonly RouterPort[]
  /** Directions of flows, of each family. */
  readonly capacity: number
  /** Where the workers' tables of flows are. */
  readonly flows: FlowTables
  readonly namespace?: NetworkNamespace
  /** How the flow tables get to the devices; into their drivers where nothing is said. */
  readonly attach?: Attach
}

/** Loads what will stand in front of the ports. Throws LoadError. */
export function openOffload({ space, tables, links, ports, capacity, flows, ...place }: OffloadOptions): Offload {
  const { flowsAt, workers } = flows
  const devices = links.map(({ name, index, mac }) => ({ name, index, mac: parseMac(mac) }))
  const front = openFront(devices, capacity, place)
  const macs = links.map(({ mac }) => mac)
  let promoter: Promoter | null = null
  const follow = (port: number) => front.follow(port, ports[port]!.program())
  return {
    follow,
    attach() {
      const modes = ports.map((_, port) => {
        follow(port)
        return front.attach(port)
      })
      front.open()
      promoter = openPromoter({
        space,
        flowsAt: Array.from({ length: workers }, (_, worker) => flowsAt + worker * 4),
        generation: () => Atomics.load(space.words, (tables.address + TABLES_GENERATION) / 4),
        tier: front.flows,
        ports: ports.map(({ index }) => index),
      })
      return modes
    },
    setMac(port, mac) {
      if (mac === macs[port]) return
      front.setMac(port, parseMac(mac))
      macs[port] = mac
      follow(port)
    },
    changed: () => promoter?.changed(),
    suspend: () => promoter?.suspend(),
    totals: () => ({ packets: front.packets(), flows: promoter?.flows() ?? 0 }),
    counted: () => promoter?.counted() ?? [],
    close() {
      promoter?.close()
      promoter = null
      front.close()
    },
  }
}
