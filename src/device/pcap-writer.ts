import { type CapturedPacket, CaptureWriteError } from './capture.js'
import { openOutput } from './output-file.js'

/** What the file header says: link type as LINKTYPE_ number, snapshot length in bytes. */
export interface PcapHeaderFields {
  readonly linkTypeNumber: number
  readonly snapLength: number
  readonly resolution: 'microseconds' | 'nanoseconds'
}

/** Takes packets; a file stands under its name only after `finish`. */
export interface CaptureWriter {
  write(packet: CapturedPacket): void
  /** Writes what is left and gives the file its name. */
  finish(): void
  /** Takes back what was written; nothing happens after `finish`. */
  discard(): void
}

const BUFFER_BYTES = 256 * 1024
const RECORD_HEADER_BYTES = 16

/**
 * Writes a pcap file (version 2.4, little-endian) in one step: a file is given
 * its name when it is complete, and follows a symbolic link. What is no file (a
 * device, a pipe) is written to as it is; `-` is standard output. Throws
 * CaptureError where `path` cannot be opened. Writing throws CaptureWriteError,
 * or Node's own error (EPIPE) where the reader of a pipe has gone.
 */
export function createCapture(path: string, header: PcapHeaderFields): CaptureWriter {
  const output = openOutput(path)
  const nanosecondsPerUnit = header.resolution === 'nanoseconds' ? 1 : 1000
  let buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  let used = fileHeader(buffer, header)
  let open = true

  const flush = () => {
    attempt(path, () => output.write(buffer.subarray(0, used)))
    used = 0
  }
  return {
    write({ data, wireLength, seconds, nanoseconds }) {
      const bytes = RECORD_HEADER_BYTES + data.length
      if (used + bytes > buffer.length) flush()
      if (bytes > buffer.length) buffer = Buffer.allocUnsafe(bytes)
      buffer.writeUInt32LE(seconds >>> 0, used)
      buffer.writeUInt32LE(Math.floor(nanoseconds / nanosecondsPerUnit), used + 4)
      buffer.writeUInt32LE(data.length, used + 8)
      buffer.writeUInt32LE(wireLength, used + 12)
      buffer.set(data, used + RECORD_HEADER_BYTES)
      used += bytes
    },
    finish() {
      flush()
      open = false
      attempt(path, output.finish)
    },
    discard() {
      if (open) output.discard()
      open = false
    },
  }
}

function attempt(path: string, run: () => void): void {
  try {
    run()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EPIPE') throw error
    const where = path === '-' ? 'standard output' : path
    throw new CaptureWriteError(`writing packets to ${where} failed (${code}); make room there, or write elsewhere`, {
      cause: error,
    })
  }
}

function fileHeader(into: Buffer, { linkTypeNumber, snapLength, resolution }: PcapHeaderFields): number {
  into.writeUInt32LE(resolution === 'nanoseconds' ? 0xa1b23c4d : 0xa1b2c3d4, 0)
  into.writeUInt16LE(2, 4)
  into.writeUInt16LE(4, 6)
  into.writeUInt32LE(0, 8)
  into.writeUInt32LE(0, 12)
  into.writeUInt32LE(snapLength, 16)
  into.writeUInt32LE(linkTypeNumber, 20)
  return 24
}
