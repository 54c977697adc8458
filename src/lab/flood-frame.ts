import { parseAddress, parseMac } from '../kernel/index.js'
import {
  addWords,
  ETHERNET,
  ETHERTYPE,
  foldChecksum,
  IP_PROTOCOL,
  IPV4,
  TCP,
  TCP_FLAG,
  UDP,
  write16,
  writeEthernet,
  writeIpv4,
} from '../wire/index.js'

/** A flood, as a plain value. Sizes are of whole Ethernet frames without FCS, in bytes. */
export interface FloodSpec {
  readonly kind: 'syn' | 'udp'
  readonly sourceMac: string
  readonly destinationMac: string
  /** IPv4 address and port that are flooded. */
  readonly destination: string
  readonly port: number
  /** Sources are drawn from this prefix, anew for each packet; or its first `inTurn` addresses send one after the other. */
  readonly sources: { readonly address: string; readonly length: number; readonly inTurn?: number }
  /** Each frame's size is drawn from this range. */
  readonly bytes: { readonly least: number; readonly most: number }
}

/** The smallest Ethernet frame without FCS, padding included. */
export const SMALLEST_FRAME_BYTES = 60
/** What live frames can hold: a page less headroom and the kernel's shared info. */
export const LARGEST_FRAME_BYTES = 1514

/** Where the fields stand that differ from packet to packet. */
export const FLOOD_FIELDS = {
  ipTotalLength: ETHERNET.headerBytes + IPV4.totalLength,
  ipChecksum: ETHERNET.headerBytes + IPV4.checksum,
  source: ETHERNET.headerBytes + IPV4.source,
  transport: ETHERNET.headerBytes + IPV4.headerBytes,
} as const

/** Offsets in the frame of the transport's fields for each kind of flood. */
export function transportFields(kind: FloodSpec['kind']) {
  const at = FLOOD_FIELDS.transport
  return kind === 'syn'
    ? { checksum: at + TCP.checksum, sequence: at + TCP.sequence, length: null, headerBytes: TCP.headerBytes }
    : { checksum: at + UDP.checksum, sequence: null, length: at + UDP.length, headerBytes: UDP.headerBytes }
}

/**
 * The longest frame of the flood, with zero where the generator draws: source
 * address and port, sequence number, lengths and checksums. Throws RangeError
 * where the description cannot be a frame.
 */
export function floodTemplate(spec: FloodSpec): Uint8Array {
  const { least, most } = spec.bytes
  if (!(least >= SMALLEST_FRAME_BYTES && least <= most && most <= LARGEST_FRAME_BYTES)) {
    throw new RangeError(
      `a flood of ${least} to ${most} bytes cannot be sent: frames have ${SMALLEST_FRAME_BYTES} to ${LARGEST_FRAME_BYTES}`,
    )
  }
  const frame = new Uint8Array(most)
  writeEthernet(frame, parseMac(spec.destinationMac), parseMac(spec.sourceMac), ETHERTYPE.ipv4)
  writeIpv4(frame, ETHERNET.headerBytes, {
    source: new Uint8Array(4),
    destination: parseAddress(spec.destination),
    protocol: spec.kind === 'syn' ? IP_PROTOCOL.tcp : IP_PROTOCOL.udp,
    totalBytes: 0,
  })
  write16(frame, FLOOD_FIELDS.ipChecksum, 0)
  write16(frame, FLOOD_FIELDS.transport + TCP.destinationPort, spec.port)
  if (spec.kind === 'syn') {
    frame[FLOOD_FIELDS.transport + TCP.dataOffset] = (TCP.headerBytes / 4) << 4
    frame[FLOOD_FIELDS.transport + TCP.flags] = TCP_FLAG.syn
    write16(frame, FLOOD_FIELDS.transport + TCP.window, 0xffff)
  }
  return frame
}

/**
 * The IP packet in a frame of `frameBytes`. A frame of the smallest size is
 * padded behind a packet that ends with its transport header, as a real SYN
 * without options is; a longer one carries payload.
 */
export function packetBytes(kind: FloodSpec['kind'], frameBytes: number): number {
  const smallest = IPV4.headerBytes + transportFields(kind).headerBytes
  return frameBytes === SMALLEST_FRAME_BYTES ? smallest : frameBytes - ETHERNET.headerBytes
}

/** What differs from packet to packet; numbers in host order. */
export interface FloodDraw {
  readonly source: number
  readonly port: number
  readonly sequence: number
}

/** Writes what was drawn, the lengths and both checksums: what the generator's program does in the kernel. */
export function sealFloodFrame(kind: FloodSpec['kind'], frame: Uint8Array, draw: FloodDraw): void {
  const fields = transportFields(kind)
  const at = FLOOD_FIELDS.transport
  const total = packetBytes(kind, frame.length)
  const end = ETHERNET.headerBytes + total
  write16(frame, FLOOD_FIELDS.ipTotalLength, total)
  write32(frame, FLOOD_FIELDS.source, draw.source)
  write16(frame, at, draw.port)
  if (fields.sequence !== null) write32(frame, fields.sequence, draw.sequence)
  if (fields.length !== null) write16(frame, fields.length, end - at)
  write16(frame, FLOOD_FIELDS.ipChecksum, 0)
  write16(frame, FLOOD_FIELDS.ipChecksum, foldChecksum(addWords(0, frame, ETHERNET.headerBytes, at)))
  const protocol = frame[ETHERNET.headerBytes + IPV4.protocol]!
  write16(frame, fields.checksum, 0)
  const pseudo = addWords(protocol + end - at, frame, FLOOD_FIELDS.source, at)
  write16(frame, fields.checksum, foldChecksum(addWords(pseudo, frame, at, end)))
}

function write32(frame: Uint8Array, at: number, value: number): void {
  write16(frame, at, value >>> 16)
  write16(frame, at + 2, value & 0xffff)
}
