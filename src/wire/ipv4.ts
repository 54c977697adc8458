import { addWords, foldChecksum } from './checksum.js'

/** IPv4 (RFC 791, section 3.1), offsets within the header; here always without options. */
export const IPV4 = {
  versionAndLength: 0,
  totalLength: 2,
  identification: 4,
  fragment: 6,
  timeToLive: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
  headerBytes: 20,
} as const

export const IP_PROTOCOL = { icmp: 1, tcp: 6, udp: 17 } as const

/** What `writeIpv4` needs; `totalBytes` counts the header. */
export interface Ipv4Header {
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly protocol: number
  readonly totalBytes: number
}

/** Writes a header with time to live 64, do-not-fragment and a right checksum at `at`. */
export function writeIpv4(frame: Uint8Array, at: number, header: Ipv4Header): void {
  frame.fill(0, at, at + IPV4.headerBytes)
  frame[at] = 0x45
  write16(frame, at + IPV4.totalLength, header.totalBytes)
  write16(frame, at + IPV4.fragment, 0x4000)
  frame[at + IPV4.timeToLive] = 64
  frame[at + IPV4.protocol] = header.protocol
  frame.set(header.source, at + IPV4.source)
  frame.set(header.destination, at + IPV4.destination)
  write16(frame, at + IPV4.checksum, foldChecksum(addWords(0, frame, at, at + IPV4.headerBytes)))
}

/** Stores a 16-bit big-endian number. */
export function write16(frame: Uint8Array, at: number, value: number): void {
  frame[at] = (value >>> 8) & 0xff
  frame[at + 1] = value & 0xff
}
