import { threadId } from 'node:worker_threads'
import {
  METADATA_BYTES,
  METADATA_HAS_RECORD,
  METADATA_VALID,
  RECORD_NUMBER_BEFORE,
  type Space,
} from '../memory/index.js'
import type { PacketRecord } from './capture.js'

/** What capture files hold beside the packets that lie in frames. */
export interface PacketRecords {
  /** The packet at that address, of which the time has just been written, came in this record. What the record views is copied. */
  keep(packet: number, record: PacketRecord): void
  /** The record that a packet came in; null for copies, and for what is of no file that was opened whole. */
  find(packet: number): PacketRecord | null
}

/** By the address of the packet: as many as the pool has frames, and never more. */
const recordsByMemory = new WeakMap<Space['memory'], Map<number, PacketRecord>>()

/** The records of a memory, which all devices of this thread share. */
export function packetRecords({ memory, bytes }: Space): PacketRecords {
  const records = recordsByMemory.get(memory) ?? new Map<number, PacketRecord>()
  recordsByMemory.set(memory, records)
  const view = new DataView(memory.buffer)
  const valid = (packet: number) => packet - METADATA_BYTES + METADATA_VALID
  return {
    keep(packet, record) {
      // Copied, because a view would keep a whole chunk of the file in memory.
      records.set(packet, { ...record, head: new Uint8Array(record.head), tail: new Uint8Array(record.tail) })
      view.setFloat64(packet - RECORD_NUMBER_BEFORE, record.number, true)
      bytes[valid(packet)]! |= METADATA_HAS_RECORD
    },
    find(packet) {
      if ((bytes[valid(packet)]! & METADATA_HAS_RECORD) === 0) return null
      // Where another number stands in the frame, its packet is a copy, or another thread has read it.
      const record = records.get(packet)
      return record?.number === view.getFloat64(packet - RECORD_NUMBER_BEFORE, true) ? record : null
    },
  }
}

/** So many records a thread have numbers that no other thread of the process gives; all of them are exact. */
const NUMBERS_OF_A_THREAD = 2 ** 40
let lastNumber = threadId * NUMBERS_OF_A_THREAD

/** A number that no other record has; it is higher than those before. */
export function nextRecordNumber(): number {
  lastNumber++
  return lastNumber
}
