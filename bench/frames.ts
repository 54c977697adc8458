import { ETHERNET, ETHERTYPE, IP_PROTOCOL, IPV4, TCP, write16 } from '../src/wire/index.js'

/** Length of the frames where nothing else is asked: the least that a wire carries, and some, in whole words. */
export const FRAME_BYTES = 80

/** What differs from a plain packet; addresses as numbers, `bytes` of the whole frame. */
interface Fields {
  readonly source?: number
  readonly destination?: number
  readonly sourcePort?: number
  readonly port?: number
  /** TCP's flags. */
  readonly flags?: number
  /** Flags and offset as in the header. */
  readonly fragment?: number
  readonly bytes?: number
}

/** An IPv4 packet without options, with ports where UDP and TCP have them. */
export function ipv4(protocol: number, fields: Fields): Uint8Array {
  const { source = 0xc0a80101, destination = 0xc0a80102, sourcePort = 65_001, port: to = 65_002 } = fields
  const frame = frameOf(ETHERTYPE.ipv4, fields.bytes)
  const at = ETHERNET.headerBytes
  frame[at] = 0x45
  frame[at + IPV4.protocol] = protocol
  writeWords(frame, at + IPV4.source, [source, destination])
  write16(frame, at + IPV4.fragment, fields.fragment ?? 0)
  write16(frame, at + IPV4.headerBytes, sourcePort)
  write16(frame, at + IPV4.headerBytes + 2, to)
  if (fields.flags !== undefined) frame[at + IPV4.headerBytes + TCP.flags] = fields.flags
  return frame
}

/** A UDP packet from an IPv6 address, given as four words. */
export function ipv6(source: readonly number[]): Uint8Array {
  const frame = frameOf(ETHERTYPE.ipv6)
  frame[ETHERNET.headerBytes] = 0x60
  frame[ETHERNET.headerBytes + 6] = IP_PROTOCOL.udp
  writeWords(frame, ETHERNET.headerBytes + 8, [...source, 0x20010db8, 0, 0, 0xffff])
  return frame
}

function frameOf(type: number, bytes = FRAME_BYTES): Uint8Array {
  const frame = new Uint8Array(bytes)
  write16(frame, 12, type)
  return frame
}

function writeWords(frame: Uint8Array, at: number, words: readonly number[]): void {
  const view = new DataView(frame.buffer)
  words.forEach((word, index) => {
    view.setUint32(at + 4 * index, word)
  })
}
