import {
  type CapturedPacket,
  CaptureError,
  type CaptureOutput,
  type CaptureWriter,
  type PacketRecord,
} from './capture.js'
import { copyBytes } from './packet-records.js'
import { type InterfaceFields, put16, put32, writeInterface, writePacket } from './pcapng-blocks.js'
import {
  BLOCK_INTERFACE,
  ENHANCED_CAPTURED,
  ENHANCED_WIRE,
  INTERFACE_DESCRIPTION,
  INTERFACE_STATISTICS,
  PACKET,
  SECTION_HEADER,
  SIMPLE_PACKET,
  SIMPLE_WIRE,
  TOTAL_LENGTH,
} from './pcapng-formats.js'

/** A block of no packet, as it stood in the file. */
export interface LooseBlock {
  readonly type: number
  readonly isLittleEndian: boolean
  readonly bytes: Uint8Array
  /** The number of the last record before it; 0 before all of them. */
  readonly after: number
}

/** What of a file travels beside its packets, from who reads it to who writes it again. */
export interface LooseBlocks {
  /** Those that have not been written yet, in the file's order. */
  readonly waiting: LooseBlock[]
  /** Whether somebody writes it again: a second one would find blocks missing. */
  isTaken: boolean
}

/** The section that is being written. */
interface Section {
  readonly isLittleEndian: boolean
  /** What number each interface that was read has now. */
  readonly interfaces: number[]
  /** Interfaces written so far; one of them may be our own. */
  count: number
  own: number | null
}

/**
 * Writes again what was read. The blocks of no packet stand before the packet
 * that they stood before, or before the next one that comes; those behind the
 * last, at the end. A packet whose bytes have become more or fewer keeps its
 * interface, time and options. What has no record of this section (it is new, a
 * copy, or late) belongs to an interface of our own. Throws CaptureError where
 * somebody does so already.
 */
export function writePcapngAgain(output: CaptureOutput, loose: LooseBlocks, fields: InterfaceFields): CaptureWriter {
  if (loose.isTaken) throw new CaptureError('a pcapng file that is read once can be written again once; open it twice')
  loose.isTaken = true
  const { waiting } = loose
  let section: Section = { isLittleEndian: true, interfaces: [], count: 0, own: null }
  let sections = 0
  let next = 0

  function writeBlock({ type, isLittleEndian, bytes }: LooseBlock): void {
    const buffer = output.room(bytes.length)
    buffer.set(bytes, output.at)
    if (type === SECTION_HEADER) {
      section = { isLittleEndian, interfaces: [], count: 0, own: null }
      sections++
    } else if (type === INTERFACE_DESCRIPTION) section.interfaces.push(section.count++)
    else if (type === INTERFACE_STATISTICS) renumber(buffer, output.at, section, type)
  }

  /** What stands before the record of that number. */
  function writeBlocksBefore(number: number): void {
    while (next < waiting.length && waiting[next]!.after < number) writeBlock(waiting[next++]!)
    if (next < waiting.length) return
    waiting.length = 0
    next = 0
  }

  function writeOwn(packet: CapturedPacket): void {
    if (section.own === null) {
      section.own = section.count++
      writeInterface(output, section.isLittleEndian, fields)
    }
    writePacket(output, section.isLittleEndian, section.own, packet)
  }

  writeBlocksBefore(1)
  return {
    write(packet) {
      const record = packet.record?.source === loose ? packet.record : null
      if (record !== null) writeBlocksBefore(record.number)
      if (record === null || record.section !== sections || !writeRecord(output, section, record, packet))
        writeOwn(packet)
    },
    flush: output.flush,
    finish() {
      writeBlocksBefore(Number.POSITIVE_INFINITY)
      output.finish()
    },
    discard: output.discard,
  }
}

/**
 * Writes the block of a packet, with its bytes of now; false where a simple
 * packet has changed its length, for it cannot say how much was captured, or
 * where its interface is not the first any more.
 */
function writeRecord(
  output: CaptureOutput,
  section: Section,
  record: PacketRecord,
  { data, wireLength }: CapturedPacket,
): boolean {
  const { isLittleEndian } = section
  const { dataLength, bytes: from, headStart, headEnd, tailEnd } = record
  const type = get32(from, isLittleEndian, headStart)
  const isSameLength = data.length === dataLength
  const isSimple = type === SIMPLE_PACKET
  const saysAll =
    isSameLength && section.interfaces[0] === 0 && wireLength === get32(from, isLittleEndian, headStart + SIMPLE_WIRE)
  if (isSimple && !saysAll) return false
  const padding = isSameLength ? 0 : -data.length & 3
  const tailStart = record.tailStart + (isSameLength ? 0 : -dataLength & 3)
  const headBytes = headEnd - headStart
  const behind = headBytes + data.length + padding
  const bytes = behind + tailEnd - tailStart
  const buffer = output.room(bytes)
  const { at } = output
  copyBytes(from, headStart, headEnd, buffer, at)
  buffer.set(data, at + headBytes)
  buffer.fill(0, at + behind - padding, at + behind)
  copyBytes(from, tailStart, tailEnd, buffer, at + behind)
  if (isSimple) return true
  put32(buffer, isLittleEndian, at + ENHANCED_WIRE, wireLength)
  if (section.own !== null) renumber(buffer, at, section, type)
  if (isSameLength) return true
  put32(buffer, isLittleEndian, at + ENHANCED_CAPTURED, data.length)
  put32(buffer, isLittleEndian, at + TOTAL_LENGTH, bytes)
  put32(buffer, isLittleEndian, at + bytes - 4, bytes)
  return true
}

/** Gives a block at `at` the number that its interface has now. */
function renumber(buffer: Buffer, at: number, { interfaces, isLittleEndian }: Section, type: number): void {
  const place = at + BLOCK_INTERFACE
  if (type === PACKET) {
    const was = isLittleEndian ? buffer.readUInt16LE(place) : buffer.readUInt16BE(place)
    put16(buffer, isLittleEndian, place, interfaces[was] ?? was)
  } else {
    const was = get32(buffer, isLittleEndian, place)
    put32(buffer, isLittleEndian, place, interfaces[was] ?? was)
  }
}

function get32(bytes: Uint8Array, isLittleEndian: boolean, at: number): number {
  const [one, two, three, four] = [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!]
  const word = isLittleEndian
    ? one | (two << 8) | (three << 16) | (four << 24)
    : (one << 24) | (two << 16) | (three << 8) | four
  return word >>> 0
}
