import { createLink } from '../../src/device/index.js'
import { draw, type Line, receive, send, startEngine } from '../../src/engine/index.js'
import { arrived, type Flows, type FlowsOptions, openFlows, owner, track } from '../../src/flow/index.js'
import { openBench } from './engine.js'
import type { Verdict } from './kernel-tracker.js'
import { collect, once } from './stage-suite.js'
import { type TrackedPacket, trackedFrame } from './tracked-packet.js'

/** The stage `track` in the checked build, one packet at a time. */
export interface EngineTracker {
  readonly flows: Flows
  judge(packet: TrackedPacket): Verdict
  /** The same of a whole frame, which comes to the worker of that number. */
  judgeFrame(frame: Uint8Array, worker?: number): Verdict
  /** Packets that the table of each worker has judged. */
  judged(): readonly number[]
  /** Throws where a frame was lost or used wrongly. */
  close(): void
}

const VERDICTS = ['established', 'new', 'related', 'invalid', 'untracked'] as const
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)

/** With several workers there is a table of each, and what comes to one goes to whose it is. */
export function openEngineTracker(options: FlowsOptions = {}, workers = 1): EngineTracker {
  const bench = openBench(undefined, undefined, workers * (16 << 20))
  const { space, code, worker } = bench
  const numbers = Array.from({ length: workers }, (_, number) => number)
  const tables = numbers.map((number) =>
    openFlows(space, code, `test ${number}`, { ...options, owner: { number, count: workers } }),
  )
  const bundles = numbers.map((number) => bench.bundle(`sent ${number}`))
  const said = VERDICTS.map((): Uint8Array[] => [])
  const ends = VERDICTS.map((verdict, index) => collect(bench, verdict, said[index]!))
  const handedTo = numbers.map((number) => arrived(`arrived ${number}`, 1))
  // What has been put together goes on from there, in the next round.
  const rings = numbers.map((number) => createLink(space, code, worker, `to ${number}`))
  const lines = numbers.flatMap((number): Line[] => {
    const [stage, whose] = [
      track(`track ${number}`, tables[number]!),
      owner(`owner ${number}`, tables[number]!, { inPort: 0 }),
    ]
    const others = numbers.filter((other) => other !== number)
    return [
      [receive({ ...once(bench, bundles[number]!), name: `sent ${number}` }), whose, stage],
      ...others.flatMap((other): Line[] => [
        [`${whose.name}.worker ${other}`, handedTo[other]!],
        [`${stage.name}.worker ${other}`, send(rings[other]![0])],
      ]),
      ...(workers > 1 ? [[receive(rings[number]![1]), handedTo[number]!] as const] : []),
      ...(workers > 1 ? [[`${handedTo[number]!.name}.port 0`, stage] as const] : []),
      ...VERDICTS.map((verdict, index): Line => [`${stage.name}.${verdict}`, ends[index]!]),
    ]
  })
  const engine = startEngine(space, code, worker, draw(...lines))
  const judgeFrame = (frame: Uint8Array, number = 0) => {
    bench.fill(bundles[number]!, [frame])
    for (let round = 0; round < Math.min(workers, 2); round++) engine.round()
    const index = said.findIndex((packets) => packets.splice(0).length > 0)
    return index < 0 ? 'dropped' : VERDICTS[index]!
  }
  return {
    flows: tables[0]!,
    judge: (packet) => judgeFrame(trackedFrame(packet, MAC)),
    judgeFrame,
    judged: () => engine.statistics().flatMap(({ name, packets }) => (name.startsWith('track') ? [packets] : [])),
    close() {
      engine.close()
      for (const end of rings.flat()) end.close()
      for (const flows of tables) flows.close()
      const { lastFrame: _, ...faults } = bench.pool.faults()
      if (bench.inUse() !== 0 || Object.values(faults).some((count) => count !== 0))
        throw new Error(`frames were lost or used wrongly: ${bench.inUse()} in use, ${JSON.stringify(faults)}`)
    },
  }
}
