import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { type CapturedPacket, CaptureError } from './capture.js'

/** What the file header says: link type as LINKTYPE_ number, snapshot length in bytes. */
export interface PcapHeaderFields {
  readonly linkTypeNumber: number
  readonly snapLength: number
  readonly resolution: 'microseconds' | 'nanoseconds'
}

/** Takes packets; the file stands under its name only after `finish`. */
export interface CaptureWriter {
  write(packet: CapturedPacket): void
  /** Writes what is left and gives the file its name. Throws Node's system error. */
  finish(): void
  /** Takes back what was written; nothing happens after `finish`. */
  discard(): void
}

const BUFFER_BYTES = 256 * 1024
const RECORD_HEADER_BYTES = 16

/**
 * Writes a pcap file (version 2.4, little-endian) in one step: everything goes
 * to a file beside `path` that is renamed at the end, so that `path` is never
 * half written. `-` is standard output. Throws CaptureError where `path` cannot be
 * made, and later Node's system error where it cannot be written to.
 */
export function createCapture(path: string, header: PcapHeaderFields): CaptureWriter {
  const toStdout = path === '-'
  const temporary = `${path}.${process.pid}.part`
  const fd = toStdout ? 1 : openNew(temporary, path)
  const nanosecondsPerUnit = header.resolution === 'nanoseconds' ? 1 : 1000
  let buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  let used = fileHeader(buffer, header)
  let open = true

  const flush = () => {
    writeAll(fd, buffer.subarray(0, used))
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
      if (toStdout) return
      closeSync(fd)
      renameSync(temporary, path)
    },
    discard() {
      if (!open || toStdout) return
      open = false
      closeSync(fd)
      rmSync(temporary, { force: true })
    },
  }
}

function openNew(temporary: string, path: string): number {
  try {
    return openSync(temporary, 'wx')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CaptureError(`cannot write ${path} (${code}); check that its folder is there and yours to write to`, {
      cause: error,
    })
  }
}

const PAUSE = new Int32Array(new SharedArrayBuffer(4))

/** Standard output may be a pipe in non-blocking mode: a full one is waited for. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(PAUSE, 0, 0, 1)
    }
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
