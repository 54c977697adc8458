import { draw, receive, startEngine } from '../../src/engine/index.js'
import { type Flows, type FlowsOptions, openFlows, track } from '../../src/flow/index.js'
import { openBench } from './engine.js'
import type { Verdict } from './kernel-tracker.js'
import { collect, once } from './stage-suite.js'
import { type TrackedPacket, trackedFrame } from './tracked-packet.js'

/** The stage `track` in the checked build, one packet at a time. */
export interface EngineTracker {
  readonly flows: Flows
  judge(packet: TrackedPacket): Verdict
  /** Throws where a frame was lost or used wrongly. */
  close(): void
}

const VERDICTS = ['established', 'new', 'related', 'invalid', 'untracked'] as const
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)

export function openEngineTracker(options: FlowsOptions = {}): EngineTracker {
  const bench = openBench()
  const { space, code, worker } = bench
  const flows = openFlows(space, code, 'test', options)
  const stage = track('track', flows)
  const bundle = bench.bundle('sent')
  const arrived = VERDICTS.map((): Uint8Array[] => [])
  const lines = VERDICTS.map(
    (verdict, index) => [`track.${verdict}`, collect(bench, verdict, arrived[index]!)] as const,
  )
  const engine = startEngine(space, code, worker, draw([receive(once(bench, bundle)), stage], ...lines))
  return {
    flows,
    judge(packet) {
      bench.fill(bundle, [trackedFrame(packet, MAC)])
      engine.round()
      const index = arrived.findIndex((packets) => packets.splice(0).length > 0)
      return index < 0 ? 'dropped' : VERDICTS[index]!
    },
    close() {
      engine.close()
      flows.close()
      const { lastFrame: _, ...faults } = bench.pool.faults()
      if (bench.inUse() !== 0 || Object.values(faults).some((count) => count !== 0))
        throw new Error(`frames were lost or used wrongly: ${bench.inUse()} in use, ${JSON.stringify(faults)}`)
    },
  }
}
