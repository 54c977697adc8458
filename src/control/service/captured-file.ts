import { createPcapng } from '../../device/index.js'
import type { SentPacket } from './protocol.js'

/** A pcapng file of packets that a service has sent. */
export interface CapturedFile {
  /** Writes them, and hands them to the kernel: who reads a pipe sees them now. */
  write(packets: readonly SentPacket[]): void
  /** Closes it: what was written stays, whatever has ended it. */
  close(): void
}

const ETHERNET = 1
/** As tcpdump has it (MAXIMUM_SNAPLEN). */
const SNAP_LENGTH = 262_144

/**
 * Opens `path`, or standard output for `-`. The file is there from the begin, for who reads along, and because what led
 * to the end of a service is worth most. Throws CaptureError; writing throws CaptureWriteError.
 */
export function createCapturedFile(path: string): CapturedFile {
  const writer = createPcapng(path, { linkTypeNumber: ETHERNET, snapLength: SNAP_LENGTH }, { isInPlace: true })
  writer.flush()
  return {
    write(packets) {
      for (const { data, ...rest } of packets) writer.write({ data: Buffer.from(data, 'base64'), ...rest })
      writer.flush()
    },
    // Nothing is left to be written: each `write` has handed over what it got.
    close: writer.discard,
  }
}
