import type { ByteSource } from './byte-source.js'
import { type Capture, type CapturedPacket, CaptureError, type CaptureOutput, type PacketRecord } from './capture.js'
import { effectiveSnapLength, largestSnapLength, linkTypeName } from './link-type.js'
import { nextRecordNumber } from './packet-records.js'
import { type LooseBlock, type LooseBlocks, writePcapngAgain } from './pcapng-copy.js'
import {
  BLOCK_OVERHEAD_BYTES,
  BYTE_ORDER_MAGIC,
  ENHANCED_PACKET,
  INTERFACE_DESCRIPTION,
  PACKET,
  SECTION_HEADER,
  SIMPLE_PACKET,
} from './pcapng-formats.js'
import { MICROSECONDS, readTimestampOptions, type TimestampRule, timestampOf } from './pcapng-time.js'
import { readingOf } from './reading.js'

/**
 * The pcapng format (draft-ietf-opsawg-pcapng): blocks of
 *
 *     0  u32  type      4  u32  total length, a multiple of 4
 *     8  …    body      last u32  total length again
 *
 * in the byte order that the section header announces.
 */
/** Type and total length; the total length again. */
const BEFORE_BODY_BYTES = 8
const BEHIND_BODY_BYTES = 4
const LARGEST_SECTION_HEADER_BYTES = 1 << 20
const LARGEST_BLOCK_BYTES = 16 << 20
/** What a packet block may hold beside the packet: its header and options. */
const PACKET_BLOCK_SLACK_BYTES = 131_072 + 32

/** Smallest body of the blocks that are read, bytes. */
const FIXED_BYTES: Readonly<Record<number, number>> = {
  [SECTION_HEADER]: 16,
  [INTERFACE_DESCRIPTION]: 8,
  [PACKET]: 20,
  [SIMPLE_PACKET]: 4,
  [ENHANCED_PACKET]: 20,
}

interface Block {
  readonly type: number
  /** Where its body lies in `source.bytes`, and where it ends there. */
  readonly start: number
  readonly end: number
}

interface Reader {
  readonly source: ByteSource
  readonly path: string
  isLittleEndian: boolean
  largestBlockBytes: number
  /** One a description block of the present section. */
  interfaces: Interface[]
  /** Null where the file was not opened whole. */
  readonly whole: Whole | null
}

interface InterfaceKind {
  readonly linkTypeNumber: number
  readonly linkType: string
  readonly snapLength: number
}

interface Interface extends InterfaceKind {
  readonly time: TimestampRule
}

/** What goes to who writes the file again. */
interface Whole extends LooseBlocks {
  readonly waiting: LooseBlock[]
  section: number
  /** Of the last record; 0 before the first. */
  number: number
}

/** Of a file without interfaces, which has no packets either: no link type has this number. */
const NO_INTERFACE: Interface = {
  linkTypeNumber: 0xffff,
  linkType: linkTypeName(0xffff),
  snapLength: largestSnapLength(''),
  time: MICROSECONDS,
}

/**
 * Null where the file does not begin as pcapng does. Throws CaptureError where
 * it breaks before its first interface, or has none and is not opened whole.
 */
export function openPcapng(source: ByteSource, path: string, isWhole: boolean): Capture | null {
  const isLittleEndian = byteOrderOf(source)
  if (isLittleEndian === null) return null
  const whole = isWhole ? { waiting: [], isTaken: false, section: 0, number: 0 } : null
  const reader: Reader = { source, path, isLittleEndian, largestBlockBytes: LARGEST_BLOCK_BYTES, interfaces: [], whole }
  const { time, ...first } = readFirstInterface(reader)
  const resolution = time.unitsPerSecond > MICROSECONDS.unitsPerSecond ? 'nanoseconds' : 'microseconds'
  reader.largestBlockBytes = Math.max(LARGEST_BLOCK_BYTES, largestSnapLength(first.linkType) + PACKET_BLOCK_SLACK_BYTES)
  const reading = readingOf(source, () => nextPacket(reader, first))
  const again = whole && ((output: CaptureOutput) => writePcapngAgain(output, whole, first))
  return Object.assign(reading, { format: 'pcapng', path, ...first, resolution, again } as const)
}

/** Whether the section is little-endian; null where this is no section header. */
function byteOrderOf(source: ByteSource): boolean | null {
  if (source.fill(12) < 12 || source.view.getUint32(source.at) !== SECTION_HEADER) return null
  if (source.view.getUint32(source.at + 8, true) === BYTE_ORDER_MAGIC) return true
  return source.view.getUint32(source.at + 8, false) === BYTE_ORDER_MAGIC ? false : null
}

function readFirstInterface(reader: Reader): Interface {
  for (let block = nextBlock(reader); block !== null; block = nextBlock(reader)) {
    if (isPacket(block)) throw broken(reader, 'a packet stands before any interface description')
    if (block.type === SECTION_HEADER) checkSection(reader, block)
    const described = block.type === INTERFACE_DESCRIPTION ? describeInterface(reader, block) : null
    keepBlock(reader, block)
    if (described !== null) return described
  }
  if (reader.whole !== null) return NO_INTERFACE
  throw broken(reader, 'it ends without an interface description')
}

function nextPacket(reader: Reader, first: InterfaceKind): CapturedPacket | null {
  for (let block = nextBlock(reader); block !== null; block = nextBlock(reader)) {
    if (isPacket(block)) return readPacket(reader, block)
    if (block.type === SECTION_HEADER) checkSection(reader, block)
    if (block.type === INTERFACE_DESCRIPTION) {
      const described = describeInterface(reader, block)
      if (reader.whole === null) checkSameKind(reader, first, described)
    }
    keepBlock(reader, block)
  }
  return null
}

function isPacket({ type }: Block): boolean {
  return type === ENHANCED_PACKET || type === SIMPLE_PACKET || type === PACKET
}

/** Copied, because a view would keep a whole chunk of the file in memory. */
function keepBlock({ whole, source, isLittleEndian }: Reader, { type, start, end }: Block): void {
  if (whole === null) return
  if (type === SECTION_HEADER) whole.section++
  const bytes = new Uint8Array(source.bytes.subarray(start - BEFORE_BODY_BYTES, end + BEHIND_BODY_BYTES))
  whole.waiting.push({ type, isLittleEndian, bytes, after: whole.number })
}

/** The next whole block, its frame checked, with `source.at` behind it; null at the end of what there is. */
function nextBlock(reader: Reader): Block | null {
  const { source } = reader
  const there = source.fill(BEFORE_BODY_BYTES)
  if (source.isGrowing ? there < BEFORE_BODY_BYTES : there === 0 && source.damage === null) return null
  if (there < BEFORE_BODY_BYTES)
    throw broken(reader, source.damage === null ? 'it ends inside a block header' : `it ${source.damage}`)
  // A section says its byte order itself, and its type reads the same in both.
  if (reader.whole !== null) reader.isLittleEndian = byteOrderOf(source) ?? reader.isLittleEndian
  const { isLittleEndian } = reader
  const type = source.view.getUint32(source.at, isLittleEndian)
  const total = source.view.getUint32(source.at + 4, isLittleEndian)
  const largest = type === SECTION_HEADER ? LARGEST_SECTION_HEADER_BYTES : reader.largestBlockBytes
  if (total < BLOCK_OVERHEAD_BYTES || total % 4 !== 0 || total > largest) {
    throw broken(reader, `a block claims to be ${total} bytes long`)
  }
  const body = source.fill(total)
  if (body < total && source.isGrowing) return null
  if (body < total) throw broken(reader, `it ends inside a block, ${body} of ${total} bytes are there`)
  if (source.view.getUint32(source.at + total - 4, isLittleEndian) !== total) {
    throw broken(reader, 'the two lengths of a block differ')
  }
  if (total - BLOCK_OVERHEAD_BYTES < (FIXED_BYTES[type] ?? 0)) {
    throw broken(reader, `a block of type ${type} is too short for its fields`)
  }
  const start = source.at + BEFORE_BODY_BYTES
  source.at += total
  return { type, start, end: start + total - BLOCK_OVERHEAD_BYTES }
}

function checkSection(reader: Reader, block: Block): void {
  const { source, isLittleEndian } = reader
  const magic = source.view.getUint32(block.start, isLittleEndian)
  if (magic !== BYTE_ORDER_MAGIC) throw broken(reader, 'a section has another byte order than the first')
  const major = source.view.getUint16(block.start + 4, isLittleEndian)
  if (major !== 1) throw broken(reader, `a section has version ${major}, only 1 is defined`)
  reader.interfaces = []
}

function describeInterface(reader: Reader, block: Block): Interface {
  const { source, isLittleEndian } = reader
  const linkTypeNumber = source.view.getUint16(block.start, isLittleEndian)
  const linkType = linkTypeName(linkTypeNumber)
  const time = readTimestampOptions(source.view, block.start + 8, block.end, isLittleEndian)
  if (typeof time === 'string') throw broken(reader, time)
  const snapLength = effectiveSnapLength(linkType, source.view.getUint32(block.start + 4, isLittleEndian))
  const described = { linkTypeNumber, linkType, snapLength, time }
  reader.interfaces.push(described)
  return described
}

/**
 * A filter is compiled for one link type, and libpcap reads no file whose
 * interfaces differ in it or in their snapshot length: neither do we, so that
 * both always count the same packets.
 */
function checkSameKind(reader: Reader, first: InterfaceKind, next: InterfaceKind): void {
  if (next.linkTypeNumber !== first.linkTypeNumber) {
    throw broken(
      reader,
      `an interface has link type ${next.linkType}, the first one ${first.linkType}; split the file by interface`,
    )
  }
  if (next.snapLength !== first.snapLength) {
    throw broken(
      reader,
      `an interface has snapshot length ${next.snapLength}, the first one ${first.snapLength}; split the file by interface`,
    )
  }
}

/**
 *     enhanced packet                     packet (obsolete)          simple packet
 *      0  u32  interface                   0  u16  interface          0  u32  length on the wire
 *      4  u32  timestamp, high             2  u16  drops              4  …    data
 *      8  u32  timestamp, low              4… as the enhanced packet
 *     12  u32  captured length
 *     16  u32  length on the wire
 *     20  …    data
 */
function readPacket(reader: Reader, block: Block): CapturedPacket {
  const { isLittleEndian, interfaces } = reader
  const { view, bytes } = reader.source
  const { type, start } = block
  const simple = type === SIMPLE_PACKET
  const index = simple
    ? 0
    : type === PACKET
      ? view.getUint16(start, isLittleEndian)
      : view.getUint32(start, isLittleEndian)
  const from = interfaces[index]
  if (from === undefined) throw broken(reader, `a packet names interface ${index}, which is not described`)
  const wireLength = view.getUint32(simple ? start : start + 16, isLittleEndian)
  const captured = simple ? Math.min(wireLength, from.snapLength) : view.getUint32(start + 12, isLittleEndian)
  const dataStart = start + (simple ? 4 : 20)
  if (captured > from.snapLength) {
    throw broken(reader, `a packet claims ${captured} captured bytes, more than the snapshot length`)
  }
  if (captured > block.end - dataStart) throw broken(reader, 'a packet is longer than its block')
  const data = bytes.subarray(dataStart, dataStart + captured)
  const high = view.getUint32(start + 4, isLittleEndian)
  const { seconds, nanoseconds } = simple
    ? NO_TIME
    : timestampOf(from.time, high, view.getUint32(start + 8, isLittleEndian))
  if (reader.whole === null) return { data, wireLength, seconds, nanoseconds }
  const record = recordOf(reader, reader.whole, block, dataStart, captured)
  return { data, wireLength, seconds, nanoseconds, record }
}

const NO_TIME = { seconds: 0, nanoseconds: 0 } as const

/** What stands around the bytes of a packet; its number is the last. */
function recordOf(
  { source: { bytes } }: Reader,
  whole: Whole,
  { start, end }: Block,
  dataStart: number,
  dataLength: number,
): PacketRecord {
  whole.number = nextRecordNumber()
  return {
    source: whole,
    number: whole.number,
    section: whole.section,
    dataLength,
    bytes,
    headStart: start - BEFORE_BODY_BYTES,
    headEnd: dataStart,
    tailStart: dataStart + dataLength,
    tailEnd: end + BEHIND_BODY_BYTES,
  }
}

function broken({ source, path }: Reader, what: string): CaptureError {
  const advice = what.includes('split') ? '' : '; the packets before it were read'
  return new CaptureError(`${path} is broken before byte ${source.base + source.at}: ${what}${advice}`)
}
