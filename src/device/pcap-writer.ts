import { type Capture, CaptureError, type CaptureOutput, type CaptureWriter } from './capture.js'
import { type CaptureWriteOptions, openCaptureOutput } from './capture-output.js'
import { copyBytes } from './packet-records.js'
import { MAGIC_MICROSECONDS, MAGIC_MODIFIED, MAGIC_NANOSECONDS } from './pcap-formats.js'

/** What the file header says: link type as LINKTYPE_ number, snapshot length in bytes. */
export interface PcapHeaderFields {
  readonly linkTypeNumber: number
  readonly snapLength: number
  readonly resolution: 'microseconds' | 'nanoseconds'
}

const FILE_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16
const MODIFIED_HEADER_BYTES = 24

/**
 * Writes a pcap file (version 2.4, little-endian) in one step: a file is given
 * its name when it is complete, and follows a symbolic link. What is no file (a
 * device, a pipe) is written to as it is; `-` is standard output; `.gz` is
 * packed. Throws CaptureError where `path` cannot be opened. Writing throws
 * CaptureWriteError, or Node's own error (EPIPE) where the reader of a pipe has
 * gone.
 */
export function createCapture(path: string, header: PcapHeaderFields, options?: CaptureWriteOptions): CaptureWriter {
  return writePcap(openCaptureOutput(path, options), fileHeaderOf(header), null)
}

/**
 * As `createCapture`, in the form of a file that was opened `whole`, of which
 * the packets come: what was not changed is written as it stood there, byte for
 * byte, with all that is around it. Throws CaptureError also where it was not
 * opened so, and of pcapng where it is written again already.
 */
export function createCopy(path: string, { again, path: from }: Capture, options?: CaptureWriteOptions): CaptureWriter {
  if (again === null) throw new CaptureError(`${from} cannot be written again; open it with whole: true`)
  const output = openCaptureOutput(path, options)
  try {
    return again(output)
  } catch (error) {
    output.discard()
    throw error
  }
}

/**
 * Writes what a file with this header holds. Of packets whose records are of
 * `source`, what the header of a record has more is written as well, and what
 * stood behind their bytes, unless they have become more or fewer.
 */
export function writePcap(output: CaptureOutput, fileHeader: Uint8Array, source: object | null): CaptureWriter {
  const { isLittleEndian, nanosecondsPerUnit, isWireFirst, headerBytes } = shapeOf(fileHeader)
  output.room(FILE_HEADER_BYTES).set(fileHeader, output.at)
  return {
    write({ data, wireLength, seconds, nanoseconds, record }) {
      const own = source !== null && record?.source === source ? record : null
      const rest = own?.dataLength === data.length ? own : null
      const stored = data.length + (rest === null ? 0 : rest.tailEnd - rest.tailStart)
      const buffer = output.room(headerBytes + stored)
      const { at } = output
      const put = (field: number, value: number) =>
        isLittleEndian ? buffer.writeUInt32LE(value, at + field) : buffer.writeUInt32BE(value, at + field)
      put(0, seconds >>> 0)
      put(4, Math.floor(nanoseconds / nanosecondsPerUnit) >>> 0)
      put(8, isWireFirst ? wireLength : stored)
      put(12, isWireFirst ? stored : wireLength)
      buffer.fill(0, at + RECORD_HEADER_BYTES, at + headerBytes)
      if (own !== null) copyBytes(own.bytes, own.headStart, own.headEnd, buffer, at + RECORD_HEADER_BYTES)
      buffer.set(data, at + headerBytes)
      if (rest !== null) copyBytes(rest.bytes, rest.tailStart, rest.tailEnd, buffer, at + headerBytes + data.length)
    },
    flush: output.flush,
    finish: output.finish,
    discard: output.discard,
  }
}

function fileHeaderOf({ linkTypeNumber, snapLength, resolution }: PcapHeaderFields): Uint8Array {
  const header = Buffer.alloc(FILE_HEADER_BYTES)
  header.writeUInt32LE(resolution === 'nanoseconds' ? MAGIC_NANOSECONDS : MAGIC_MICROSECONDS, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(snapLength, 16)
  header.writeUInt32LE(linkTypeNumber, 20)
  return header
}

/** How the records behind a header look. In versions before 2.3 the lengths stand the other way round (pcap.ts). */
function shapeOf(fileHeader: Uint8Array) {
  const view = new DataView(fileHeader.buffer, fileHeader.byteOffset, fileHeader.byteLength)
  const isLittleEndian = [MAGIC_MICROSECONDS, MAGIC_NANOSECONDS, MAGIC_MODIFIED].includes(view.getUint32(0, true))
  const magic = view.getUint32(0, isLittleEndian)
  const major = view.getUint16(4, isLittleEndian)
  return {
    isLittleEndian,
    nanosecondsPerUnit: magic === MAGIC_NANOSECONDS ? 1 : 1000,
    isWireFirst: major === 543 || view.getUint16(6, isLittleEndian) < 3,
    headerBytes: magic === MAGIC_MODIFIED ? MODIFIED_HEADER_BYTES : RECORD_HEADER_BYTES,
  }
}
