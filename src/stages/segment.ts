import type { RunningStage, Stage } from '../engine/index.js'
import { FLAG_CHECKSUM_MISSING, FLAG_TCP, FLAG_UDP } from '../memory/index.js'
import { SEGMENT_BYTES, SEGMENT_MADE, SEGMENT_PACKETS } from './offload-state.js'

/** What whoever takes the packets does by itself; nothing where it is not said. */
export interface CanDo {
  /** Fills in checksums. */
  readonly checksum?: boolean
  /** Cuts TCP, and UDP, into segments. */
  readonly tcp?: boolean
  readonly udp?: boolean
}

/** What has been cut since the stage was started. */
export interface Segmented {
  /** Packets that were cut. */
  readonly packets: number
  /** Packets that they became. */
  readonly made: number
}

/**
 * Segmentation on the way out, for what GRO has merged or a TAP device has
 * left whole: TCP as in `tcp_gso_segment`, UDP as in `__udp_gso_segment` of Linux 6.18.
 * Only what `can` does not have is done; the other packets go by untouched.
 */
export function segment(name = 'segment', can: CanDo = {}): Stage & { read(): Segmented } {
  const { checksum = false, tcp = false, udp = false } = can
  let read = (): Segmented => ({ packets: 0, made: 0 })
  return {
    name,
    outputs: ['out'],
    drops: ['no frame', 'malformed'],
    kind: 'segment',
    settings: { checksum, tcp, udp },
    read: () => read(),
    start({ space, code, pool, reserve, drops }): RunningStage {
      const state = reserve('segments', 'state', SEGMENT_BYTES)
      const run = code.find('segment')
      const flags = (checksum ? FLAG_CHECKSUM_MISSING : 0) | (tcp ? FLAG_TCP : 0) | (udp ? FLAG_UDP : 0)
      const counted = (at: number) => space.counters[(state + at) >>> 3]!
      read = () => ({ packets: counted(SEGMENT_PACKETS), made: counted(SEGMENT_MADE) })
      return {
        run: (bundle) => run(pool.address, state, bundle, flags, drops),
        hasMore: () => space.words[state >>> 2] !== space.words[(state >>> 2) + 1],
        close() {
          const last = read()
          read = () => last
        },
      }
    },
  }
}
