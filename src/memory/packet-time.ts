import {
  METADATA_BYTES,
  METADATA_HAS_TIME,
  METADATA_VALID,
  TIME_NANOSECONDS_BEFORE,
  TIME_SECONDS_BEFORE,
} from './formats.js'
import type { Space } from './space.js'

/** Reads and writes when a packet was captured, which stands before its metadata. */
export interface PacketTimes {
  /** The packet at that address has this time, and no other metadata. */
  write(packet: number, seconds: number, nanoseconds: number): void
  has(packet: number): boolean
  seconds(packet: number): number
  nanoseconds(packet: number): number
}

/** The times of packets in a memory; of one that has none, what is read is old. */
export function packetTimes({ memory, bytes }: Space): PacketTimes {
  const view = new DataView(memory.buffer)
  const valid = (packet: number) => packet - METADATA_BYTES + METADATA_VALID
  return {
    write(packet, seconds, nanoseconds) {
      view.setFloat64(packet - TIME_SECONDS_BEFORE, seconds, true)
      view.setFloat64(packet - TIME_NANOSECONDS_BEFORE, nanoseconds, true)
      bytes[valid(packet)] = METADATA_HAS_TIME
    },
    has: (packet) => (bytes[valid(packet)]! & METADATA_HAS_TIME) !== 0,
    seconds: (packet) => view.getFloat64(packet - TIME_SECONDS_BEFORE, true),
    nanoseconds: (packet) => view.getFloat64(packet - TIME_NANOSECONDS_BEFORE, true),
  }
}
