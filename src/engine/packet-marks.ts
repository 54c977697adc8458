import { METADATA_BYTES, METADATA_HAS_TRACE, METADATA_TRACE, METADATA_VALID, type Space } from '../memory/index.js'

/** By a mark in its metadata a packet is known again that one trace follows: behind a ring, or when a stage has kept it. */
export interface PacketMarks {
  /** Its number, or 0: this trace does not follow it. */
  read(packet: number): number
  write(packet: number, number: number): void
}

/** A trace follows fewer packets than this. */
export const MOST_FOLLOWED = 1 << 14
const TRACES = 1 << 18

// Threads that have never heard of each other may begin traces over one memory.
let traces = Math.floor(Math.random() * TRACES)

/** Tells a trace from all others of the memory. */
export function newTraceId(): number {
  traces = (traces + 1) % TRACES
  return traces
}

/** The marks of one trace. A copy of the packet with its metadata has the mark as well. */
export function packetMarks({ memory, bytes }: Space, trace: number): PacketMarks {
  const view = new DataView(memory.buffer)
  const first = trace * MOST_FOLLOWED
  return {
    read(packet) {
      const metadata = packet - METADATA_BYTES
      if ((bytes[metadata + METADATA_VALID]! & METADATA_HAS_TRACE) === 0) return 0
      const mark = view.getUint32(metadata + METADATA_TRACE, true)
      return mark - (mark % MOST_FOLLOWED) === first ? mark % MOST_FOLLOWED : 0
    },
    write(packet, number) {
      const metadata = packet - METADATA_BYTES
      view.setUint32(metadata + METADATA_TRACE, first + number, true)
      bytes[metadata + METADATA_VALID]! |= METADATA_HAS_TRACE
    },
  }
}
