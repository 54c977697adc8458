import { BUNDLE_DESCRIPTORS, type Judge, MOST_IN_BUNDLE } from '../memory/index.js'
import { type PacketLog, packetLogWriter } from './packet-log.js'
import type { RunningStage, Stage } from './stage.js'

const VERDICT_BYTES = 4
const MATCHED = 0

/** Copies packets into a log and hands all on: those of which the judge says rule 0, or where there is none, each. */
export function captureTo(name: string, log: PacketLog, judge: Judge | null): Stage {
  return {
    name,
    outputs: ['out'],
    drops: [],
    kind: 'capture',
    settings: { log },
    start({ space, reserve }): RunningStage {
      const write = packetLogWriter(space, log)
      const verdicts = reserve('verdicts', 'state', MOST_IN_BUNDLE * VERDICT_BYTES)
      return {
        run(bundle) {
          const count = space.words[bundle >>> 2]!
          judge?.(bundle + BUNDLE_DESCRIPTORS, count, verdicts)
          for (let index = 0; index < count; index++)
            if (judge === null || space.words[(verdicts >>> 2) + index] === MATCHED) write(bundle, index)
        },
      }
    },
  }
}
