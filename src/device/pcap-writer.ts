import type { CapturedPacket } from './capture.js'
import { type CaptureWriteOptions, openCaptureOutput } from './capture-output.js'

/** What the file header says: link type as LINKTYPE_ number, snapshot length in bytes. */
export interface PcapHeaderFields {
  readonly linkTypeNumber: number
  readonly snapLength: number
  readonly resolution: 'microseconds' | 'nanoseconds'
  /**
   * The header of another pcap file, which is written as it is: byte order,
   * version and resolution are then that file's, and so is every record.
   */
  readonly fileHeader?: Uint8Array | null
}

/** Takes packets; a file stands under its name only after `finish`, unless it is written in place. */
export interface CaptureWriter {
  write(packet: CapturedPacket): void
  /** Hands what was written to the kernel. */
  flush(): void
  /** Writes what is left and gives the file its name. */
  finish(): void
  /** Takes back what was written; nothing happens after `finish`. */
  discard(): void
}

const FILE_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16
const MAGIC = { microseconds: 0xa1b2c3d4, nanoseconds: 0xa1b23c4d } as const

/**
 * Writes a pcap file (version 2.4, little-endian, or as `fileHeader` says) in
 * one step: a file is given its name when it is complete, and follows a symbolic
 * link. What is no file (a device, a pipe) is written to as it is; `-` is
 * standard output; `.gz` is packed. Throws CaptureError where `path` cannot be
 * opened. Writing throws CaptureWriteError, or Node's own error (EPIPE) where
 * the reader of a pipe has gone.
 */
export function createCapture(path: string, header: PcapHeaderFields, options?: CaptureWriteOptions): CaptureWriter {
  const output = openCaptureOutput(path, options)
  const fileHeader = header.fileHeader ?? fileHeaderOf(header)
  const { isLittleEndian, nanosecondsPerUnit, isWireFirst } = shapeOf(fileHeader)
  output.room(FILE_HEADER_BYTES).set(fileHeader, output.at)
  return {
    write({ data, wireLength, seconds, nanoseconds }) {
      const buffer = output.room(RECORD_HEADER_BYTES + data.length)
      const { at } = output
      const put = (field: number, value: number) =>
        isLittleEndian ? buffer.writeUInt32LE(value, at + field) : buffer.writeUInt32BE(value, at + field)
      put(0, seconds >>> 0)
      put(4, Math.floor(nanoseconds / nanosecondsPerUnit) >>> 0)
      put(8, isWireFirst ? wireLength : data.length)
      put(12, isWireFirst ? data.length : wireLength)
      buffer.set(data, at + RECORD_HEADER_BYTES)
    },
    flush: output.flush,
    finish: output.finish,
    discard: output.discard,
  }
}

function fileHeaderOf({ linkTypeNumber, snapLength, resolution }: PcapHeaderFields): Uint8Array {
  const header = Buffer.alloc(FILE_HEADER_BYTES)
  header.writeUInt32LE(MAGIC[resolution], 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(snapLength, 16)
  header.writeUInt32LE(linkTypeNumber, 20)
  return header
}

/** How the records behind a header look. In versions before 2.3 the lengths stand the other way round (pcap.ts). */
function shapeOf(fileHeader: Uint8Array) {
  const view = new DataView(fileHeader.buffer, fileHeader.byteOffset, fileHeader.byteLength)
  const magics: readonly number[] = Object.values(MAGIC)
  const isLittleEndian = magics.includes(view.getUint32(0, true))
  const major = view.getUint16(4, isLittleEndian)
  return {
    isLittleEndian,
    nanosecondsPerUnit: view.getUint32(0, isLittleEndian) === MAGIC.nanoseconds ? 1 : 1000,
    isWireFirst: major === 543 || view.getUint16(6, isLittleEndian) < 3,
  }
}
