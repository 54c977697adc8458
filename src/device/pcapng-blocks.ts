import type { CapturedPacket, CaptureOutput } from './capture.js'
import {
  BLOCK_INTERFACE,
  BYTE_ORDER_MAGIC,
  ENHANCED_CAPTURED,
  ENHANCED_PACKET,
  ENHANCED_WIRE,
  INTERFACE_DESCRIPTION,
  SECTION_HEADER,
  TOTAL_LENGTH,
} from './pcapng-formats.js'

const SECTION_BYTES = 28
const INTERFACE_BYTES = 32
const OPTION_RESOLUTION = 9
const PACKET_BYTES = 32
const PACKET_DATA = 28

const HALF_WORD = 2 ** 16
const WORD = 2 ** 32
const NANOSECONDS_PER_SECOND = 1e9

/** What an interface says: link type as LINKTYPE_ number, snapshot length in bytes. */
export interface InterfaceFields {
  readonly linkTypeNumber: number
  readonly snapLength: number
}

/** Writes 16 bits of a block in the byte order of its section. */
export function put16(buffer: Buffer, isLittleEndian: boolean, at: number, value: number): void {
  if (isLittleEndian) buffer.writeUInt16LE(value, at)
  else buffer.writeUInt16BE(value, at)
}

/** Writes 32 bits of a block in the byte order of its section. */
export function put32(buffer: Buffer, isLittleEndian: boolean, at: number, value: number): void {
  if (isLittleEndian) buffer.writeUInt32LE(value, at)
  else buffer.writeUInt32BE(value, at)
}

/** A block of zeros but for type and lengths, from `output.at` on. */
function block(output: CaptureOutput, isLittleEndian: boolean, type: number, bytes: number): Buffer {
  const buffer = output.room(bytes)
  const { at } = output
  buffer.fill(0, at, at + bytes)
  put32(buffer, isLittleEndian, at, type)
  put32(buffer, isLittleEndian, at + TOTAL_LENGTH, bytes)
  put32(buffer, isLittleEndian, at + bytes - 4, bytes)
  return buffer
}

/** A section header without options (section 4.1); how long the section is is not said. */
export function writeSection(output: CaptureOutput, isLittleEndian: boolean): void {
  const buffer = block(output, isLittleEndian, SECTION_HEADER, SECTION_BYTES)
  const { at } = output
  put32(buffer, isLittleEndian, at + 8, BYTE_ORDER_MAGIC)
  put16(buffer, isLittleEndian, at + 12, 1)
  buffer.fill(0xff, at + 16, at + 24)
}

/** An interface whose times are in nanoseconds (section 4.2). */
export function writeInterface(output: CaptureOutput, isLittleEndian: boolean, fields: InterfaceFields): void {
  const buffer = block(output, isLittleEndian, INTERFACE_DESCRIPTION, INTERFACE_BYTES)
  const { at } = output
  put16(buffer, isLittleEndian, at + 8, fields.linkTypeNumber)
  put32(buffer, isLittleEndian, at + 12, fields.snapLength)
  put16(buffer, isLittleEndian, at + 16, OPTION_RESOLUTION)
  put16(buffer, isLittleEndian, at + 18, 1)
  buffer.writeUInt8(9, at + 20)
}

/** An enhanced packet (section 4.3) of the interface of that number, whose times are in nanoseconds. */
export function writePacket(
  output: CaptureOutput,
  isLittleEndian: boolean,
  interfaceNumber: number,
  { data, wireLength, seconds, nanoseconds }: CapturedPacket,
): void {
  const buffer = block(output, isLittleEndian, ENHANCED_PACKET, PACKET_BYTES + ((data.length + 3) & ~3))
  const { at } = output
  // seconds * 10^9 passes 2^53: the upper and the lower half of the seconds are multiplied by themselves.
  const upper = Math.floor(seconds / HALF_WORD) * NANOSECONDS_PER_SECOND
  const lower = (upper % HALF_WORD) * HALF_WORD + (seconds % HALF_WORD) * NANOSECONDS_PER_SECOND + nanoseconds
  put32(buffer, isLittleEndian, at + BLOCK_INTERFACE, interfaceNumber)
  put32(buffer, isLittleEndian, at + 12, (Math.floor(upper / HALF_WORD) + Math.floor(lower / WORD)) >>> 0)
  put32(buffer, isLittleEndian, at + 16, (lower % WORD) >>> 0)
  put32(buffer, isLittleEndian, at + ENHANCED_CAPTURED, data.length)
  put32(buffer, isLittleEndian, at + ENHANCED_WIRE, wireLength)
  buffer.set(data, at + PACKET_DATA)
}
