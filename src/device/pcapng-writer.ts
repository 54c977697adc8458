import { type CaptureWriteOptions, openCaptureOutput } from './capture-output.js'
import type { CaptureWriter, PcapHeaderFields } from './pcap-writer.js'

/**
 * What is written of pcapng (draft-ietf-opsawg-pcapng), little-endian: a section
 * header (section 4.1), one interface with a resolution of nanoseconds (4.2),
 * and an enhanced packet block each (4.3).
 */
const SECTION_HEADER = 0x0a0d0d0a
const BYTE_ORDER_MAGIC = 0x1a2b3c4d
const SECTION_BYTES = 28
const INTERFACE_DESCRIPTION = 1
const INTERFACE_BYTES = 32
const OPTION_RESOLUTION = 9
const ENHANCED_PACKET = 6
const PACKET_BYTES = 32
const PACKET_DATA = 28

const HALF_WORD = 2 ** 16
const WORD = 2 ** 32
const NANOSECONDS_PER_SECOND = 1e9

/** As `createCapture`, in the pcapng format, with times in nanoseconds. */
export function createPcapng(
  path: string,
  { linkTypeNumber, snapLength }: Pick<PcapHeaderFields, 'linkTypeNumber' | 'snapLength'>,
  options?: CaptureWriteOptions,
): CaptureWriter {
  const output = openCaptureOutput(path, options)
  const block = (type: number, bytes: number): Buffer => {
    const buffer = output.room(bytes)
    buffer.fill(0, output.at, output.at + bytes)
    buffer.writeUInt32LE(type, output.at)
    buffer.writeUInt32LE(bytes, output.at + 4)
    buffer.writeUInt32LE(bytes, output.at + bytes - 4)
    return buffer
  }
  const section = block(SECTION_HEADER, SECTION_BYTES)
  section.writeUInt32LE(BYTE_ORDER_MAGIC, output.at + 8)
  section.writeUInt16LE(1, output.at + 12)
  // The section's length, -1: not said.
  section.fill(0xff, output.at + 16, output.at + 24)
  const description = block(INTERFACE_DESCRIPTION, INTERFACE_BYTES)
  description.writeUInt16LE(linkTypeNumber, output.at + 8)
  description.writeUInt32LE(snapLength, output.at + 12)
  description.writeUInt16LE(OPTION_RESOLUTION, output.at + 16)
  description.writeUInt16LE(1, output.at + 18)
  description.writeUInt8(9, output.at + 20)
  return {
    write({ data, wireLength, seconds, nanoseconds }) {
      const buffer = block(ENHANCED_PACKET, PACKET_BYTES + ((data.length + 3) & ~3))
      const { at } = output
      // seconds * 10^9 passes 2^53: the upper and the lower half of the seconds are multiplied by themselves.
      const upper = Math.floor(seconds / HALF_WORD) * NANOSECONDS_PER_SECOND
      const lower = (upper % HALF_WORD) * HALF_WORD + (seconds % HALF_WORD) * NANOSECONDS_PER_SECOND + nanoseconds
      buffer.writeUInt32LE((Math.floor(upper / HALF_WORD) + Math.floor(lower / WORD)) >>> 0, at + 12)
      buffer.writeUInt32LE((lower % WORD) >>> 0, at + 16)
      buffer.writeUInt32LE(data.length, at + 20)
      buffer.writeUInt32LE(wireLength, at + 24)
      buffer.set(data, at + PACKET_DATA)
    },
    flush: output.flush,
    finish: output.finish,
    discard: output.discard,
  }
}
