import { addWords, foldChecksum, write16 } from '../../src/wire/index.js'
import { read16 } from './flow-packet.js'

/** IP packets as they are, for those who look into them or change them. */

const ICMP = 1
const ICMPV6 = 58
const ERRORS_V4: readonly number[] = [3, 4, 5, 11, 12]
const QUERIES_V4: readonly number[] = [0, 8, 13, 14, 15, 16, 17, 18]
/** The checksum's place in the transport's header. */
const SUM_AT: Readonly<Record<number, number>> = { 1: 2, 6: 16, 17: 6, 58: 2 }

/** What stands where in an IP packet of at least a header; the packet may be a quoted one that is cut off. */
export interface IpPlaces {
  readonly isIpv4: boolean
  readonly protocol: number
  readonly transport: number
  /** Where its source stands, its destination behind it, each of so many bytes. */
  readonly addresses: number
  readonly addressBytes: number
  /** Where a transport's checksum stands that is there and is one, else 0. */
  readonly sum: number
  /** An ICMP error: where the packet begins that it quotes, else 0. */
  readonly quoted: number
  /** Of IPv4: it is one of several, and not the first. */
  readonly isFragment: boolean
  readonly isLater: boolean
}

/** Reads the headers of the IP packet at `start`. */
export function placesOf(bytes: Uint8Array, start = 0): IpPlaces {
  const isIpv4 = bytes[start]! >> 4 === 4
  const protocol = bytes[start + (isIpv4 ? 9 : 6)]!
  const transport = start + (isIpv4 ? (bytes[start]! & 15) * 4 : 40)
  const field = transport + (SUM_AT[protocol] ?? Number.POSITIVE_INFINITY)
  const fragment = isIpv4 ? read16(bytes, start + 6) & 0x3fff : 0
  const isLater = (fragment & 0x1fff) !== 0
  const isThere = !isLater && field + 2 <= bytes.length && !(protocol === 17 && read16(bytes, field) === 0)
  return {
    ...{ isIpv4, protocol, transport },
    addresses: start + (isIpv4 ? 12 : 8),
    addressBytes: isIpv4 ? 4 : 16,
    sum: isThere ? field : 0,
    quoted: !isLater && isError(protocol, bytes[transport]!) && bytes.length >= transport + 28 ? transport + 8 : 0,
    isFragment: fragment !== 0,
    isLater,
  }
}

function isError(protocol: number, type: number): boolean {
  return protocol === ICMP ? ERRORS_V4.includes(type) : protocol === ICMPV6 && type < 128
}

/** Where the port of a side stands, or the identifier of an ICMP query; 0 where neither is there. */
export function portAt(bytes: Uint8Array, { protocol, transport, isIpv4, isLater }: IpPlaces, side: 0 | 1): number {
  if (isLater) return 0
  if (protocol === 6 || protocol === 17) return transport + side * 2
  const type = bytes[transport]!
  const isQuery = isIpv4 ? protocol === ICMP && QUERIES_V4.includes(type) : protocol === ICMPV6 && type >= 128
  return isQuery ? transport + 4 : 0
}

/** Whether the sums of the IP header and of the transport, where it has one and all of it is there, are right. */
export function areSumsRight(bytes: Uint8Array): boolean {
  const places = placesOf(bytes)
  const header = places.isIpv4 ? foldChecksum(addWords(0, bytes, 0, places.transport)) : 0
  return header === 0 && (places.sum === 0 || places.isFragment || foldChecksum(transportSum(bytes, places)) === 0)
}

/** Makes both sums right; where a UDP datagram has none it stays so, and that of a fragment is of the whole. */
export function mendSums(bytes: Uint8Array): void {
  const places = placesOf(bytes)
  if (places.isIpv4) mendHeader(bytes, 0)
  if (places.sum === 0 || places.isFragment) return
  write16(bytes, places.sum, 0)
  const sum = foldChecksum(transportSum(bytes, places))
  write16(bytes, places.sum, sum === 0 && places.protocol === 17 ? 0xffff : sum)
}

/** Makes the sum of the IPv4 header at `start` right. */
export function mendHeader(bytes: Uint8Array, start: number): void {
  write16(bytes, start + 10, 0)
  write16(bytes, start + 10, foldChecksum(addWords(0, bytes, start, start + (bytes[start]! & 15) * 4)))
}

function transportSum(bytes: Uint8Array, { protocol, transport, addresses, addressBytes }: IpPlaces): number {
  const pseudo =
    protocol === ICMP
      ? 0
      : addWords(protocol + bytes.length - transport, bytes, addresses, addresses + 2 * addressBytes)
  return addWords(pseudo, bytes, transport)
}

/**
 * A number of 16 bits that stays with a packet on its way: the identification
 * of IPv4, or the flow label. Of a packet without extension headers.
 */
export function tagOf(bytes: Uint8Array, start = 0): number {
  return read16(bytes, start + (bytes[start]! >> 4 === 4 ? 4 : 2))
}

/** Writes it; the sum of the header is wrong then. */
export function setTag(bytes: Uint8Array, tag: number, start = 0): void {
  const isIpv4 = bytes[start]! >> 4 === 4
  // The label has four bits more.
  if (!isIpv4) bytes[start + 1]! &= 0xf0
  write16(bytes, start + (isIpv4 ? 4 : 2), tag)
}
