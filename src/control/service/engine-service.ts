import type { Engine, StageStatistics, Workers } from '../../engine/index.js'
import type { Space } from '../../memory/index.js'
import type { PolicyInForce } from '../opened-policy.js'
import type { RouterFlows } from '../router/router-flows.js'
import { startEdgeCapture } from './edge-capture.js'
import { type ControlSocket, listen } from './listen.js'
import { policyStatus, serviceRules } from './policy-service.js'
import type { DeviceQueue, EngineStages } from './protocol.js'
import type { HookListener } from './service.js'
import { startTrace } from './trace.js'

/** An engine of this process, for commands to look at. */
export interface ServedEngine {
  /** What `sluice status` calls it. */
  readonly name: string
  /** Where its packets come from, if that is one device; `devices` where it is several. */
  readonly device?: string | undefined
  readonly devices?: readonly string[] | undefined
  /** How they are taken: `native` or `generic`, of each device where they differ. */
  readonly mode?: string | undefined
  /** Of the program that hands it its packets. */
  readonly programId?: number | undefined
  readonly space: Space
  /** One that runs in this thread, or workers in threads of their own. */
  readonly engine:
    | Pick<Engine, 'watch' | 'statistics' | 'trace' | 'tap'>
    | Pick<Workers<never>, 'watch' | 'statistics' | 'layout' | 'trace' | 'capture'>
  /** What waits before its devices, where queues stand there. */
  readonly queues?: (() => readonly DeviceQueue[]) | undefined
  /** For `sluice flows`: the connections, of the address where one is said. */
  readonly connections?: ((address: string | null, limit: number) => RouterFlows) | undefined
  /** For `sluice hook`: has somebody stand at a hook, as it is written there. */
  readonly hook?: ((listener: string) => Promise<HookListener>) | undefined
  /** The policy in front of its devices, whose drops are among `dropped`. */
  readonly policy?: PolicyInForce | null | undefined
  /** Packets that were dropped, where the stages of now do not tell it all. */
  readonly dropped?: (() => number) | undefined
}

/**
 * Lets `sluice status`, `sluice status --memory`, `sluice top`, `sluice trace` and
 * `sluice capture` look at an engine of this process, until the socket is closed or the process ends. Time
 * a packet is measured only while somebody looks. Throws RunDirectoryError.
 */
export function serveEngine(served: ServedEngine): Promise<ControlSocket> {
  const { name, device, devices = device === undefined ? [] : [device], mode, programId } = served
  const { space, engine, hook, policy = null } = served
  const since = new Date().toISOString()
  const stages = (): readonly EngineStages[] => {
    const statistics = engine.statistics()
    return statistics.every((each) => 'stages' in each)
      ? statistics
      : [{ name, stages: statistics as readonly StageStatistics[] }]
  }
  return listen({
    status: () => ({
      name,
      kind: 'engine',
      devices,
      mode: mode ?? null,
      programId: programId ?? policy?.programId() ?? null,
      since,
      dropped: served.dropped?.() ?? sum(stages().flatMap(dropsOf)),
      losses: policy ? { ...policy.losses() } : {},
      policy: policy && policyStatus(policy),
    }),
    ...(policy && { rules: serviceRules(policy) }),
    engine: {
      layout: 'layout' in engine ? engine.layout : space.layout,
      stages,
      watch: engine.watch,
      trace: (expression, limit) => startTrace(engine, space, expression, limit),
      capture: (edge, expression, limit) => startEdgeCapture(engine, space, edge, expression, limit),
      ...(hook && { listen: hook }),
      ...(served.connections && { flows: served.connections }),
      ...(served.queues && { queues: served.queues }),
    },
  })
}

function dropsOf({ stages }: EngineStages): number[] {
  return stages.flatMap(({ drops }) => Object.values(drops))
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
