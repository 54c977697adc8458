import { addWords, foldChecksum } from '../wire/index.js'
import { STAMP_BYTES } from './formats.js'
import { type FrameShape, frameShape, type TransportShape } from './frame-shape.js'

/** Why a packet is sent without a stamp, so that nothing is measured of it; linear memory has the place in this list. */
export const UNSTAMPED = [
  'payload kept as it is',
  'no room in the payload',
  'neither TCP, UDP nor ICMP echo',
  'fragment',
  'cut off when it was captured',
  'wrong checksum in the capture',
] as const

export type Unstamped = (typeof UNSTAMPED)[number]

const UDP_HEADER_BYTES = 8
const ECHO_HEADER_BYTES = 8

/**
 * Where a packet's payload has room for a stamp, behind headers that the
 * measuring stage reads; or why it has none. `isWhole`: it was not cut off.
 */
export function stampPlace(bytes: Uint8Array, isWhole: boolean): number | Unstamped {
  const { ip, transport } = frameShape(bytes)
  if (ip?.isFragment === true) return 'fragment'
  if (ip === null || transport === null || !isMeasured(ip, transport)) return 'neither TCP, UDP nor ICMP echo'
  const end = ip.at + ip.totalBytes
  if (!isWhole || end > bytes.length) return 'cut off when it was captured'
  const at = transport.at + transportBytes(bytes, transport)
  if (at + STAMP_BYTES > end) return 'no room in the payload'
  return isSound(bytes, ip, transport, end) ? at : 'wrong checksum in the capture'
}

/** IPv6 extension headers are not looked behind where it is measured. */
function isMeasured(ip: NonNullable<FrameShape['ip']>, { protocol, isEcho, at }: TransportShape): boolean {
  return at === ip.at + ip.headerBytes && (protocol === 'tcp' || protocol === 'udp' || isEcho)
}

function transportBytes(bytes: Uint8Array, { protocol, at }: TransportShape): number {
  if (protocol === 'tcp') return (bytes[at + 12]! >> 4) * 4
  return protocol === 'udp' ? UDP_HEADER_BYTES : ECHO_HEADER_BYTES
}

const NUMBERS = { tcp: 6, udp: 17, icmp: 58, other: 0 } as const

function isSound(
  bytes: Uint8Array,
  ip: NonNullable<FrameShape['ip']>,
  { protocol, at, hasChecksum, coversAddresses }: TransportShape,
  end: number,
): boolean {
  const header = ip.version === 4 ? foldChecksum(addWords(0, bytes, ip.at, ip.at + ip.headerBytes)) : 0
  if (header !== 0 || !hasChecksum) return header === 0
  const addressesEnd = ip.destinationAt + ip.addressBytes
  const pseudo = coversAddresses ? addWords(NUMBERS[protocol] + end - at, bytes, ip.sourceAt, addressesEnd) : 0
  return foldChecksum(addWords(pseudo, bytes, at, end)) === 0
}
