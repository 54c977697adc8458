import type { StageStatistics } from '../../engine/index.js'
import type { PolicyInForce } from '../opened-policy.js'
import { policyStatus, serviceRules } from './policy-service.js'
import { ProtocolError } from './protocol.js'
import type { Service } from './service.js'

/** Packets that stay in drivers, as commands see them. */
export interface DriverServed {
  /** The command. */
  readonly name: string
  readonly devices: readonly { readonly name: string; readonly mode: string }[]
  dropped(): number
  /** The policy in front of its devices, whose drops are among `dropped`. */
  readonly policy?: PolicyInForce | null
  /** How many packets have become what. */
  outcomes(): Readonly<Record<string, number>>
}

/**
 * `sluice route --in-driver` and `sluice bridge --in-driver` as commands see them. What became of packets stands in the
 * place of stages; there is no memory, and nothing to follow or to capture.
 */
export function driverService({ name, devices, dropped, outcomes, policy = null }: DriverServed): Service {
  const since = new Date().toISOString()
  const refuse = (): never => {
    throw new ProtocolError(`the packets of sluice ${name} stay in the drivers, where only sluice top sees them`)
  }
  return {
    status: () => ({
      name,
      kind: 'engine',
      devices: devices.map((device) => device.name),
      mode: [...new Set(devices.map(({ mode }) => mode))].join(', '),
      programId: policy?.programId() ?? null,
      since,
      dropped: dropped(),
      losses: policy ? { ...policy.losses() } : {},
      policy: policy && policyStatus(policy),
    }),
    ...(policy && { rules: serviceRules(policy) }),
    engine: {
      layout: () => ({ first: 0, bytes: 0, regions: [] }),
      stages: () => [{ name: 'drivers', stages: stagesOf(outcomes()) }],
      watch() {},
      trace: refuse,
      capture: refuse,
      listen: refuse,
    },
  }
}

function stagesOf(outcomes: Readonly<Record<string, number>>): StageStatistics[] {
  const rest = {
    bundles: 0,
    packetsPerBundle: 0,
    drops: {},
    watched: { packets: 0, ms: 0 },
    nanosecondsPerPacket: null,
  }
  return Object.entries(outcomes).map(([name, packets]) => ({ name, packets, ...rest }))
}
