import type { PolicyInForce } from '../opened-policy.js'
import { policyDrops } from './guard.js'
import type { Listeners } from './listeners.js'
import type { Offload, OffloadTotals } from './offload.js'
import type { RouterPort } from './port.js'
import { PORT } from './port-counters.js'
import type { RouterEngine } from './router-engine.js'

/** What has become of a router's packets since it was started. */
export interface RouterTotals {
  /** Without those that the policy has dropped in the drivers. */
  readonly received: number
  /** Taken by the ports' devices, with what the router sends of its own: ICMP errors, copies of mirrors, and each piece of what is cut. */
  readonly forwarded: number
  /** Of both, those that the drivers have forwarded by themselves; where flows are offloaded. */
  readonly driver?: OffloadTotals
  /** Copies that mirrors have made; each is forwarded then, or among the drops. */
  readonly copied: number
  /** By stage and reason, where there are any; what a port's queue or device lost, by `port NAME` and reason; what listeners have dropped by their hook, `filtered`; what the policy has, by `policy` and its rule. */
  readonly drops: Readonly<Record<string, number>>
}

/** With what the drivers have forwarded by themselves. */
export function withDriver(totals: RouterTotals, offload: Offload | null): RouterTotals {
  if (offload === null) return totals
  const driver = offload.totals()
  return {
    ...totals,
    received: totals.received + driver.packets,
    forwarded: totals.forwarded + driver.packets,
    driver,
  }
}

/** With what the policy in front of the ports has dropped, by its rules. */
export function withPolicy(totals: RouterTotals, policy: PolicyInForce | null): RouterTotals {
  return policy === null ? totals : { ...totals, drops: { ...totals.drops, ...policyDrops(policy) } }
}

/** Listeners come and go, and count what they filter by themselves; a packet that was not copied is not lost. */
const OF_LISTENERS: readonly string[] = ['filtered', 'not copied']

/** Of the engine, its ports and hooks; `first` begins the names of the stages that see what has been received. */
export function totalsOf(
  ports: readonly RouterPort[],
  engine: RouterEngine | null,
  first: 'owner' | 'track' | 'route',
  listeners: Listeners,
): RouterTotals {
  const stages = engine?.stages() ?? []
  const receiving = new Set(ports.map(({ name }) => `${first} ${name}`))
  const drops: Record<string, number> = {}
  const filtered = listeners.dropped()
  // What is filtered at prerouting does not come to the first stage.
  let [received, forwarded] = [filtered.prerouting ?? 0, 0]
  for (const [hook, count] of Object.entries(filtered)) if (count > 0) drops[`${hook}: filtered`] = count
  for (const { name, packets, drops: reasons } of stages) {
    if (receiving.has(name)) received += packets
    if (name.startsWith(PORT)) forwarded += packets
    for (const [reason, count] of Object.entries(reasons)) {
      if (OF_LISTENERS.includes(reason)) continue
      const key = `${name}: ${reason}`
      if (count > 0) drops[key] = (drops[key] ?? 0) + count
    }
  }
  return { received, forwarded, copied: listeners.copied(), drops }
}
