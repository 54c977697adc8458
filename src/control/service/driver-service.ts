import type { StageStatistics } from '../../engine/index.js'
import type { DriverRouter } from '../router/driver-router.js'
import { ProtocolError } from './protocol.js'
import type { Service } from './service.js'

/**
 * `sluice route --in-driver` as commands see it. What became of packets stands in the place of stages, by the names of
 * the totals; there is no memory, and nothing to follow or to capture.
 */
export function driverService(router: DriverRouter): Service {
  const since = new Date().toISOString()
  const refuse = (): never => {
    throw new ProtocolError('the packets of this router stay in the drivers, where only sluice top sees them')
  }
  return {
    status: () => ({
      name: 'route',
      kind: 'engine',
      devices: router.devices.map(({ name }) => name),
      mode: [...new Set(router.devices.map(({ mode }) => mode))].join(', '),
      programId: null,
      since,
      dropped: router.totals().others.blackhole ?? 0,
      losses: {},
      policy: null,
    }),
    engine: {
      layout: () => ({ first: 0, bytes: 0, regions: [] }),
      stages: () => [{ name: 'drivers', stages: outcomes(router) }],
      watch() {},
      trace: refuse,
      capture: refuse,
    },
  }
}

function outcomes(router: DriverRouter): StageStatistics[] {
  const { forwarded, byFlow, others } = router.totals()
  const counts = {
    'forwarded by a look-up': forwarded - byFlow,
    'forwarded by flow': byFlow,
    ...Object.fromEntries(
      Object.entries(others).map(([reason, count]) => [
        reason === 'blackhole' ? 'dropped: blackhole' : `to the kernel: ${reason}`,
        count,
      ]),
    ),
  }
  const rest = {
    bundles: 0,
    packetsPerBundle: 0,
    drops: {},
    watched: { packets: 0, ms: 0 },
    nanosecondsPerPacket: null,
  }
  return Object.entries(counts).map(([name, packets]) => ({ name, packets, ...rest }))
}
