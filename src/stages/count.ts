import type { RunningStage, Stage } from '../engine/index.js'

/** What has come by, since the stage was started. */
export interface Counted {
  readonly packets: number
  /** On the wire. */
  readonly bytes: number
}

/** Counts packets and bytes and hands them on; `read` can be asked at any time while the stage runs. */
export function count(name: string): Stage & { read(): Counted } {
  let read = (): Counted => ({ packets: 0, bytes: 0 })
  return {
    name,
    outputs: ['out'],
    drops: [],
    kind: 'count',
    settings: {},
    read: () => read(),
    start({ space, code, reserve }): RunningStage {
      const counters = reserve('counted', 'counters', 16)
      const run = code.find('count')
      read = () => ({ packets: space.counters[counters / 8]!, bytes: space.counters[counters / 8 + 1]! })
      return {
        run: (bundle) => run(bundle, counters),
        close() {
          const last = read()
          read = () => last
        },
      }
    },
  }
}
