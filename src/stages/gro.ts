import type { KeptPacket, RunningStage, Stage, StageHost } from '../engine/index.js'
import {
  CACHE_BYTES,
  CACHE_FRAMES_BYTES,
  CLASS_65536,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_WIRE,
  FLAG_TCP,
  FLAG_UDP,
  type Space,
} from '../memory/index.js'
import { ENTRY_BYTES, GRO_APPENDED, GRO_BYTES, GRO_ENTRIES, GRO_HASHES, GRO_MADE, GRO_SLOTS } from './offload-state.js'

export interface GroOptions {
  /** Whether segments of a TCP connection are merged; they are where it is not said. */
  readonly tcp?: boolean
  /** Whether datagrams of two ports are merged; they are where it is not said. */
  readonly udp?: boolean
}

/** What has been merged since the stage was started. */
export interface Merged {
  /** Packets that were made of several. */
  readonly made: number
  /** Packets that were appended to an earlier one. */
  readonly appended: number
}

/**
 * Generic receive offload: consecutive TCP segments, or UDP datagrams of one
 * size, become one packet of up to 64 KiB, by the rules of Linux 6.18
 * (net/core/gro.c, net/ipv4/tcp_offload.c, udp_offload.c). What waits goes on
 * at the end of the round. A merged packet lies in a frame of 65,536 bytes; its
 * flags say how to cut it again, and its checksum is missing. What can take
 * such packets is a TAP device; for others the stage `segment` cuts them.
 * Throws, when it is started, where the pool has no such frames.
 */
export function gro(name = 'gro', { tcp = true, udp = true }: GroOptions = {}): Stage & { read(): Merged } {
  let read = (): Merged => ({ made: 0, appended: 0 })
  return {
    name,
    outputs: ['out'],
    drops: [],
    kind: 'gro',
    settings: { tcp, udp },
    read: () => read(),
    start(host): RunningStage {
      const { space, code, pool, reserve } = host
      checkFrames(host, name)
      const state = reserve('flows', 'state', GRO_BYTES)
      const [run, flush, giveBack] = [code.find('gro'), code.find('groFlush'), code.find('groClose')]
      const kinds = (tcp ? FLAG_TCP : 0) | (udp ? FLAG_UDP : 0)
      const counted = (at: number) => space.counters[(state + at) >>> 3]!
      read = () => ({ made: counted(GRO_MADE), appended: counted(GRO_APPENDED) })
      return {
        run: (bundle) => run(pool.address, state, bundle, kinds),
        hasMore: () => space.words[state >>> 2] !== space.words[(state >>> 2) + 1],
        flush: (bundle) => flush(state, bundle),
        kept: () => keptIn(space, state),
        close() {
          giveBack(pool.address, state)
          const last = read()
          read = () => last
        },
      }
    },
  }
}

function checkFrames({ space, pool }: StageHost, name: string): void {
  if (space.words[(pool.address + CLASS_65536 * CACHE_BYTES + CACHE_FRAMES_BYTES) >>> 2] !== 0) return
  throw new Error(`${name} merges packets in frames of 65,536 bytes, and the pool has none; create it with some`)
}

/** The packets in all slots that hold a flow. */
function keptIn({ words }: Space, state: number): KeptPacket[] {
  return Array.from({ length: GRO_SLOTS }, (_, slot) => slot)
    .filter((slot) => words[((state + GRO_HASHES) >>> 2) + slot] !== 0)
    .map((slot) => {
      const entry = (state + GRO_ENTRIES + slot * ENTRY_BYTES) >>> 2
      return { address: words[entry + DESCRIPTOR_ADDRESS / 4]!, lengthBytes: words[entry + DESCRIPTOR_WIRE / 4]! }
    })
}
