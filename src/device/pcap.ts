import type { ByteSource } from './byte-source.js'
import { type Capture, type CapturedPacket, CaptureError, type CaptureOutput } from './capture.js'
import { effectiveSnapLength, largestSnapLength, linkTypeName } from './link-type.js'
import { nextRecordNumber } from './packet-records.js'
import { MAGIC_MICROSECONDS, MAGIC_MODIFIED, MAGIC_NANOSECONDS } from './pcap-formats.js'
import { writePcap } from './pcap-writer.js'
import { readingOf } from './reading.js'

/**
 * The pcap format (draft-ietf-opsawg-pcap; libpcap's older variants):
 *
 *     file header, 24 bytes                    record header, 16 or 24 bytes
 *      0  u32  magic, also the byte order       0  u32  seconds
 *      4  u16  major version                    4  u32  micro- or nanoseconds
 *      6  u16  minor version                    8  u32  captured length
 *      8  i32  time zone, u32 accuracy: unused 12  u32  length on the wire
 *     16  u32  snapshot length                 16  only in the modified format: interface, protocol,
 *     20  u32  link type, FCS flags in bits 28+    packet type, 8 bytes
 */
const MAGICS = [MAGIC_MICROSECONDS, MAGIC_NANOSECONDS, MAGIC_MODIFIED]

const FILE_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16
const ETHERNET_HEADER_BYTES = 14

/** `captured, wire` changed places in version 2.3; files of that version exist with either order. */
type LengthOrder = 'captured-first' | 'wire-first' | 'smaller-is-captured'

interface PcapHeader {
  readonly littleEndian: boolean
  readonly recordHeaderBytes: number
  readonly lengthOrder: LengthOrder
  readonly nanosecondsPerUnit: number
  readonly linkTypeNumber: number
  readonly linkType: string
  readonly snapLength: number
  readonly largestSnapLength: number
  /** Whether packets have records. */
  readonly isWhole: boolean
}

/**
 * Null where the file does not begin with a pcap magic. Throws CaptureError
 * where its header is broken. Of what is `whole`, a packet has a record where
 * the file holds bytes of it beyond the snapshot length, or a longer header.
 */
export function openPcap(source: ByteSource, path: string, isWhole: boolean): Capture | null {
  const header = readHeader(source, path, isWhole)
  if (header === null) return null
  const { bytes, at } = source
  const fileHeader = new Uint8Array(bytes.subarray(at - FILE_HEADER_BYTES, at))
  let number = 0
  const reading = readingOf(source, () => {
    const packet = readRecord(source, header, path, number + 1)
    if (packet !== null) number++
    return packet
  })
  return Object.assign(reading, {
    format: 'pcap',
    path,
    linkType: header.linkType,
    linkTypeNumber: header.linkTypeNumber,
    snapLength: header.snapLength,
    resolution: header.nanosecondsPerUnit === 1 ? 'nanoseconds' : 'microseconds',
    again: isWhole ? (output: CaptureOutput) => writePcap(output, fileHeader, header) : null,
  } as const)
}

function readHeader(source: ByteSource, path: string, isWhole: boolean): PcapHeader | null {
  if (source.fill(4) < 4) return null
  const littleEndian = MAGICS.includes(source.view.getUint32(source.at, true))
  const magic = source.view.getUint32(source.at, littleEndian)
  if (!MAGICS.includes(magic)) return null
  const there = source.fill(FILE_HEADER_BYTES)
  if (there < FILE_HEADER_BYTES) {
    throw new CaptureError(`${path} ends inside its file header, ${there} of 24 bytes are there; capture it again`)
  }
  const { view, at } = source
  const major = view.getUint16(at + 4, littleEndian)
  const minor = view.getUint16(at + 6, littleEndian)
  const linkField = view.getUint32(at + 20, littleEndian)
  if (!((major === 2 && minor <= 4) || (major === 543 && minor === 0))) {
    throw new CaptureError(`${path} has pcap version ${major}.${minor}, which nobody defines; 2.0 to 2.4 can be read`)
  }
  const linkTypeNumber = linkField & 0xffff
  const linkType = linkTypeName(linkTypeNumber)
  const modified = magic === MAGIC_MODIFIED
  const snapLength = effectiveSnapLength(linkType, view.getUint32(at + 16, littleEndian))
  source.at += FILE_HEADER_BYTES
  return {
    littleEndian,
    recordHeaderBytes: modified ? 24 : RECORD_HEADER_BYTES,
    lengthOrder: major === 543 || minor < 3 ? 'wire-first' : minor === 3 ? 'smaller-is-captured' : 'captured-first',
    nanosecondsPerUnit: magic === MAGIC_NANOSECONDS ? 1 : 1000,
    linkTypeNumber,
    linkType,
    largestSnapLength: largestSnapLength(linkType),
    isWhole,
    // The patched libpcap put an Ethernet header in front of cooked packets after cutting them.
    snapLength: modified && linkType === 'EN10MB' ? snapLength + ETHERNET_HEADER_BYTES : snapLength,
  }
}

/** The packet of that number, from 1 on; null at the end, and where a growing file has no more than a part of it. */
function readRecord(source: ByteSource, header: PcapHeader, path: string, number: number): CapturedPacket | null {
  const { littleEndian, recordHeaderBytes, nanosecondsPerUnit, snapLength, largestSnapLength: largest } = header
  const there = source.fill(recordHeaderBytes)
  if (there < recordHeaderBytes) {
    if (source.isGrowing || (there === 0 && source.damage === null)) return null
    throw cutOff(source, path, number, recordHeaderBytes, there)
  }
  const { view, at } = source
  const seconds = view.getUint32(at, littleEndian)
  const nanoseconds = view.getUint32(at + 4, littleEndian) * nanosecondsPerUnit
  const first = view.getUint32(at + 8, littleEndian)
  const second = view.getUint32(at + 12, littleEndian)
  const swap = header.lengthOrder === 'wire-first' || (header.lengthOrder === 'smaller-is-captured' && first > second)
  const stored = swap ? second : first
  const wireLength = swap ? first : second
  if (stored > largest) {
    throw new CaptureError(
      `${path} is broken at packet ${number}, byte ${source.base + at}: it claims ${stored} captured bytes, more than the ${largest} that ${header.linkType} allows; the packets before it were read`,
    )
  }
  if (source.isGrowing && source.fill(recordHeaderBytes + stored) < recordHeaderBytes + stored) return null
  source.at += recordHeaderBytes
  const body = source.fill(stored)
  if (body < stored) throw cutOff(source, path, number, stored, body)
  const start = source.at
  source.at += stored
  const data = source.bytes.subarray(start, start + Math.min(stored, snapLength))
  const packet = { data, wireLength, seconds, nanoseconds }
  const isAllSaid = stored === data.length && recordHeaderBytes === RECORD_HEADER_BYTES
  if (!header.isWhole || isAllSaid) return packet
  const record = {
    source: header,
    number: nextRecordNumber(),
    section: 0,
    dataLength: data.length,
    bytes: source.bytes,
    headStart: start - recordHeaderBytes + RECORD_HEADER_BYTES,
    headEnd: start,
    tailStart: start + data.length,
    tailEnd: start + stored,
  }
  return { ...packet, record }
}

function cutOff(source: ByteSource, path: string, number: number, wanted: number, there: number): CaptureError {
  const where = `packet ${number}, byte ${source.base + source.at}`
  return new CaptureError(
    source.damage !== null
      ? `${path} ${source.damage}, before ${where} of what it unpacks to; the packets before it were read`
      : `${path} ends inside ${where}: ${there} of ${wanted} bytes are there; the packets before it were read`,
  )
}
