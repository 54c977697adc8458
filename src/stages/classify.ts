import type { RunningStage, Stage } from '../engine/index.js'

/**
 * Where the packet type comes from. `metadata`: an XDP program has written it
 * before the packet (`metadata: true` of a policy's surroundings), and the
 * headers are read only of packets that came without. `header`: always read here.
 */
export type ClassifyFrom = 'metadata' | 'header'

/** Packets since the stage was started. */
export interface Classified {
  readonly fromMetadata: number
  readonly fromHeader: number
}

/**
 * Divides packets by their transport, and sees to it that each has its type and
 * flow hash in the frame's metadata (`METADATA_…`, `TYPE_…` of `sluice/memory`)
 * for the stages behind it. Fragments go by the protocol that they name.
 */
export function classify(name: string, from: ClassifyFrom = 'metadata'): Stage & { read(): Classified } {
  let read = (): Classified => ({ fromMetadata: 0, fromHeader: 0 })
  return {
    name,
    outputs: ['other', 'tcp', 'udp', 'icmp'],
    drops: [],
    kind: 'classify',
    settings: { from },
    read: () => read(),
    start({ space, code, outputs, reserve }): RunningStage {
      const table = reserve('outputs', 'table', outputs.length * 4)
      const ends = reserve('ends', 'state', outputs.length * 4)
      const counters = reserve('classified', 'counters', 16)
      outputs.forEach((output, index) => {
        space.words[table / 4 + index] = output
      })
      const run = code.find('classify')
      const readsHeader = from === 'header' ? 1 : 0
      read = () => ({ fromMetadata: space.counters[counters / 8]!, fromHeader: space.counters[counters / 8 + 1]! })
      return {
        run: (bundle) => run(bundle, table, ends, readsHeader, counters),
        close() {
          const last = read()
          read = () => last
        },
      }
    },
  }
}
