import type { ByteSource } from './byte-source.js'
import { type Capture, type CapturedPacket, CaptureError } from './capture.js'
import { effectiveSnapLength, largestSnapLength, linkTypeName } from './link-type.js'
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
const SECTION_HEADER = 0x0a0d0d0a
const INTERFACE_DESCRIPTION = 1
/** Obsolete, still found in old files. */
const PACKET = 2
const SIMPLE_PACKET = 3
const ENHANCED_PACKET = 6

const BYTE_ORDER_MAGIC = 0x1a2b3c4d
const BLOCK_OVERHEAD_BYTES = 12
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
  readonly littleEndian: boolean
  largestBlockBytes: number
  /** One a description block of the present section. */
  interfaces: TimestampRule[]
}

interface FirstInterface {
  readonly linkTypeNumber: number
  readonly linkType: string
  readonly snapLength: number
}

/** Null where the file does not begin as pcapng does. Throws CaptureError where it breaks before its first interface. */
export function openPcapng(source: ByteSource, path: string): Capture | null {
  const littleEndian = byteOrderOf(source)
  if (littleEndian === null) return null
  const reader: Reader = { source, path, littleEndian, largestBlockBytes: LARGEST_BLOCK_BYTES, interfaces: [] }
  const first = readFirstInterface(reader)
  const resolution = reader.interfaces[0]!.unitsPerSecond > MICROSECONDS.unitsPerSecond ? 'nanoseconds' : 'microseconds'
  reader.largestBlockBytes = Math.max(LARGEST_BLOCK_BYTES, largestSnapLength(first.linkType) + PACKET_BLOCK_SLACK_BYTES)
  const reading = readingOf(source, () => nextPacket(reader, first))
  return Object.assign(reading, { format: 'pcapng', path, ...first, resolution, fileHeader: null } as const)
}

/** Whether the section is little-endian; null where this is no section header. */
function byteOrderOf(source: ByteSource): boolean | null {
  if (source.fill(12) < 12 || source.view.getUint32(source.at) !== SECTION_HEADER) return null
  if (source.view.getUint32(source.at + 8, true) === BYTE_ORDER_MAGIC) return true
  return source.view.getUint32(source.at + 8, false) === BYTE_ORDER_MAGIC ? false : null
}

function readFirstInterface(reader: Reader): FirstInterface {
  for (let block = nextBlock(reader); block !== null; block = nextBlock(reader)) {
    if (block.type === SECTION_HEADER) checkSection(reader, block)
    if (block.type === INTERFACE_DESCRIPTION) return describeInterface(reader, block)
    if (block.type === PACKET || block.type === SIMPLE_PACKET || block.type === ENHANCED_PACKET) {
      throw broken(reader, 'a packet stands before any interface description')
    }
  }
  throw broken(reader, 'it ends without an interface description')
}

function nextPacket(reader: Reader, first: FirstInterface): CapturedPacket | null {
  for (let block = nextBlock(reader); block !== null; block = nextBlock(reader)) {
    switch (block.type) {
      case SECTION_HEADER:
        checkSection(reader, block)
        reader.interfaces = []
        break
      case INTERFACE_DESCRIPTION:
        checkSameKind(reader, first, describeInterface(reader, block))
        break
      case PACKET:
      case SIMPLE_PACKET:
      case ENHANCED_PACKET:
        return readPacket(reader, first, block)
    }
  }
  return null
}

/** The next whole block, its frame checked, with `source.at` behind it; null at the end of what there is. */
function nextBlock(reader: Reader): Block | null {
  const { source, littleEndian } = reader
  const there = source.fill(8)
  if (source.isGrowing ? there < 8 : there === 0 && source.damage === null) return null
  if (there < 8) throw broken(reader, source.damage === null ? 'it ends inside a block header' : `it ${source.damage}`)
  const type = source.view.getUint32(source.at, littleEndian)
  const total = source.view.getUint32(source.at + 4, littleEndian)
  const largest = type === SECTION_HEADER ? LARGEST_SECTION_HEADER_BYTES : reader.largestBlockBytes
  if (total < BLOCK_OVERHEAD_BYTES || total % 4 !== 0 || total > largest) {
    throw broken(reader, `a block claims to be ${total} bytes long`)
  }
  const body = source.fill(total)
  if (body < total && source.isGrowing) return null
  if (body < total) throw broken(reader, `it ends inside a block, ${body} of ${total} bytes are there`)
  if (source.view.getUint32(source.at + total - 4, littleEndian) !== total) {
    throw broken(reader, 'the two lengths of a block differ')
  }
  if (total - BLOCK_OVERHEAD_BYTES < (FIXED_BYTES[type] ?? 0)) {
    throw broken(reader, `a block of type ${type} is too short for its fields`)
  }
  const start = source.at + 8
  source.at += total
  return { type, start, end: start + total - BLOCK_OVERHEAD_BYTES }
}

function checkSection(reader: Reader, block: Block): void {
  const { source, littleEndian } = reader
  const magic = source.view.getUint32(block.start, littleEndian)
  if (magic !== BYTE_ORDER_MAGIC) throw broken(reader, 'a section has another byte order than the first')
  const major = source.view.getUint16(block.start + 4, littleEndian)
  if (major !== 1) throw broken(reader, `a section has version ${major}, only 1 is defined`)
}

function describeInterface(reader: Reader, block: Block): FirstInterface {
  const { source, littleEndian } = reader
  const linkTypeNumber = source.view.getUint16(block.start, littleEndian)
  const linkType = linkTypeName(linkTypeNumber)
  const options = readTimestampOptions(source.view, block.start + 8, block.end, littleEndian)
  if (typeof options === 'string') throw broken(reader, options)
  reader.interfaces.push(options)
  const snapLength = effectiveSnapLength(linkType, source.view.getUint32(block.start + 4, littleEndian))
  return { linkTypeNumber, linkType, snapLength }
}

/**
 * A filter is compiled for one link type, and libpcap reads no file whose
 * interfaces differ in it or in their snapshot length: neither do we, so that
 * both always count the same packets.
 */
function checkSameKind(reader: Reader, first: FirstInterface, next: FirstInterface): void {
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
function readPacket(reader: Reader, first: FirstInterface, block: Block): CapturedPacket {
  const { littleEndian, interfaces } = reader
  const { view, bytes } = reader.source
  const { type, start } = block
  const simple = type === SIMPLE_PACKET
  const index = simple ? 0 : type === PACKET ? view.getUint16(start, littleEndian) : view.getUint32(start, littleEndian)
  const rule = interfaces[index]
  if (rule === undefined) throw broken(reader, `a packet names interface ${index}, which is not described`)
  const wireLength = view.getUint32(simple ? start : start + 16, littleEndian)
  const captured = simple ? Math.min(wireLength, first.snapLength) : view.getUint32(start + 12, littleEndian)
  const dataStart = start + (simple ? 4 : 20)
  if (captured > first.snapLength) {
    throw broken(reader, `a packet claims ${captured} captured bytes, more than the snapshot length`)
  }
  if (captured > block.end - dataStart) throw broken(reader, 'a packet is longer than its block')
  const data = bytes.subarray(dataStart, dataStart + captured)
  if (simple) return { data, wireLength, seconds: 0, nanoseconds: 0 }
  const high = view.getUint32(start + 4, littleEndian)
  const low = view.getUint32(start + 8, littleEndian)
  return { data, wireLength, ...timestampOf(rule, high, low) }
}

function broken({ source, path }: Reader, what: string): CaptureError {
  const advice = what.includes('split') ? '' : '; the packets before it were read'
  return new CaptureError(`${path} is broken before byte ${source.base + source.at}: ${what}${advice}`)
}
