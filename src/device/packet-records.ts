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
  /** The packet at that address, of which the time has just been written, came in this record, which is copied. */
  keep(packet: number, record: PacketRecord): void
  /** The record that a packet came in; null for copies, and for what is of no file that was opened whole. */
  find(packet: number): PacketRecord | null
}

/** A copy, which the next packet in the frame uses again. */
type KeptRecord = { -readonly [Field in keyof PacketRecord]: PacketRecord[Field] }

/** By the address of the packet: as many as the pool has frames, and never more. */
const recordsByMemory = new WeakMap<Space['memory'], Map<number, KeptRecord>>()
/** Enough for a block without options. */
const USUAL_BYTES = 64

/** The records of a memory, which all devices of this thread share. */
export function packetRecords({ memory, bytes }: Space): PacketRecords {
  const records = recordsByMemory.get(memory) ?? new Map<number, KeptRecord>()
  recordsByMemory.set(memory, records)
  const view = new DataView(memory.buffer)
  const valid = (packet: number) => packet - METADATA_BYTES + METADATA_VALID
  return {
    keep(packet, record) {
      let kept = records.get(packet)
      if (kept === undefined) {
        kept = { ...record, bytes: new Uint8Array(USUAL_BYTES) }
        records.set(packet, kept)
      }
      keepRecord(kept, record)
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

/** Copied, because what views the file would keep a whole chunk of it in memory. */
function keepRecord(kept: KeptRecord, record: PacketRecord): void {
  const { bytes, headStart, headEnd, tailStart, tailEnd } = record
  const headBytes = headEnd - headStart
  const length = headBytes + tailEnd - tailStart
  if (kept.bytes.length < length) kept.bytes = new Uint8Array(length)
  copyBytes(bytes, headStart, headEnd, kept.bytes, 0)
  copyBytes(bytes, tailStart, tailEnd, kept.bytes, headBytes)
  kept.source = record.source
  kept.number = record.number
  kept.section = record.section
  kept.dataLength = record.dataLength
  kept.headStart = 0
  kept.headEnd = headBytes
  kept.tailStart = headBytes
  kept.tailEnd = length
}

/** Below this a loop is faster than a view to copy from. */
const FEW_BYTES = 64

/** Copies from `start` to `end` to `at` of another array. */
export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start > FEW_BYTES) to.set(from.subarray(start, end), at)
  else for (let index = start; index < end; index++) to[at + index - start] = from[index]!
}

/** So many records a thread have numbers that no other thread of the process gives; all of them are exact. */
const NUMBERS_OF_A_THREAD = 2 ** 40
let lastNumber: number | undefined

/** A number that no other record has; it is higher than those before. */
export function nextRecordNumber(): number {
  lastNumber = (lastNumber ?? threadId * NUMBERS_OF_A_THREAD) + 1
  return lastNumber
}
