import { gzipSync } from 'node:zlib'
import { type CaptureOutput, CaptureWriteError } from './capture.js'
import { openOutput } from './output-file.js'

export interface CaptureWriteOptions {
  /**
   * The file stands under its name from the begin, and whoever reads it sees
   * what has been flushed; otherwise it gets its name when it is complete.
   */
  readonly isInPlace?: boolean
}

const BUFFER_BYTES = 256 * 1024

/**
 * Opens `path` as `openOutput` does; what ends in `.gz` is packed with gzip,
 * each flush as a member of its own (RFC 1952, section 2.2). Writing throws
 * CaptureWriteError, or Node's own error (EPIPE) where the reader has gone.
 */
export function openCaptureOutput(path: string, { isInPlace = false }: CaptureWriteOptions = {}): CaptureOutput {
  const output = openOutput(path, isInPlace)
  const isPacked = path.endsWith('.gz')
  let buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  let used = 0
  let at = 0
  let open = true
  const flush = () => {
    if (used === 0) return
    const bytes = buffer.subarray(0, used)
    attempt(path, () => output.write(isPacked ? gzipSync(bytes) : bytes))
    used = 0
  }
  return {
    room(bytes) {
      if (used + bytes > buffer.length) flush()
      if (bytes > buffer.length) buffer = Buffer.allocUnsafe(bytes)
      at = used
      used += bytes
      return buffer
    },
    get at() {
      return at
    },
    flush,
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
