import { write16 } from '../../src/wire/index.js'
import { read16 } from './flow-packet.js'
import { mendHeader } from './ip-packet.js'
import type { Random } from './random.js'

/** What stands where in a fragment, as the plain twin reads it. */
export interface FragmentPlaces {
  readonly isIpv4: boolean
  /** Of its payload in the datagram's; and where that begins in the packet. */
  readonly begin: number
  readonly isLast: boolean
  readonly at: number
  readonly identification: number
}

const IPV6_BYTES = 40
const HEADER_BYTES = 8
const FRAGMENT = 44

/** Cuts an IP packet without extension headers at these offsets of its payload, all of them multiples of 8. */
export function cutIp(ip: Uint8Array, offsets: readonly number[], identification: number): Uint8Array[] {
  const isIpv4 = ip[0]! >> 4 === 4
  const header = ip.subarray(0, isIpv4 ? (ip[0]! & 15) * 4 : IPV6_BYTES)
  const payload = ip.subarray(header.length)
  const begins = [0, ...offsets]
  return begins.map((begin, order) => {
    const isLast = order === offsets.length
    const part = payload.subarray(begin, isLast ? payload.length : begins[order + 1])
    return isIpv4
      ? piece4(header, part, begin, isLast, identification)
      : piece6(header, part, begin, isLast, identification)
  })
}

function piece4(header: Uint8Array, part: Uint8Array, begin: number, isLast: boolean, id: number): Uint8Array {
  const piece = Uint8Array.from([...header, ...part])
  write16(piece, 2, piece.length)
  write16(piece, 4, id)
  write16(piece, 6, begin / 8 + (isLast ? 0 : 0x2000))
  mendHeader(piece, 0)
  return piece
}

function piece6(header: Uint8Array, part: Uint8Array, begin: number, isLast: boolean, id: number): Uint8Array {
  const head = Uint8Array.of(header[6]!, 0, 0, 0, 0, 0, 0, 0)
  write16(head, 2, begin + (isLast ? 0 : 1))
  write16(head, 6, id)
  const piece = Uint8Array.from([...header, ...head, ...part])
  piece[6] = FRAGMENT
  write16(piece, 4, piece.length - IPV6_BYTES)
  return piece
}

export function readFragment(ip: Uint8Array): FragmentPlaces {
  const isIpv4 = ip[0]! >> 4 === 4
  const at = isIpv4 ? (ip[0]! & 15) * 4 : IPV6_BYTES + HEADER_BYTES
  const field = read16(ip, isIpv4 ? 6 : IPV6_BYTES + 2)
  return {
    ...{ isIpv4, at },
    begin: isIpv4 ? (field & 0x1fff) * 8 : field & 0xfff8,
    isLast: (field & (isIpv4 ? 0x2000 : 1)) === 0,
    identification: read16(ip, isIpv4 ? 4 : IPV6_BYTES + 6),
  }
}

/** Puts a datagram together whose pieces are all there, once each, in whatever order; null where they are not. */
export function joinIp(pieces: readonly Uint8Array[]): Uint8Array | null {
  const sorted = pieces.map((ip) => ({ ip, ...readFragment(ip) })).toSorted((one, other) => one.begin - other.begin)
  const [first] = sorted
  let end = 0
  for (const [order, { ip, at, begin, isLast, identification }] of sorted.entries()) {
    if (begin !== end || isLast !== (order === sorted.length - 1)) return null
    if (identification !== first!.identification) return null
    end += ip.length - at
  }
  if (first === undefined) return null
  const header = first.isIpv4 ? first.ip.slice(0, first.at) : first.ip.slice(0, IPV6_BYTES)
  const whole = Uint8Array.from([...header, ...sorted.flatMap(({ ip, at }) => [...ip.subarray(at)])])
  write16(whole, first.isIpv4 ? 2 : 4, whole.length - (first.isIpv4 ? 0 : IPV6_BYTES))
  if (!first.isIpv4) whole[6] = first.ip[IPV6_BYTES]!
  return plainIp(whole)
}

/** The packet without what fragmentation has made of its header. */
export function plainIp(ip: Uint8Array): Uint8Array {
  const plain = ip.slice()
  if (plain[0]! >> 4 !== 4) return plain
  write16(plain, 4, 0)
  write16(plain, 6, 0)
  mendHeader(plain, 0)
  return plain
}

/** Offsets to cut a payload of so many bytes at: the first piece has `least` at least. */
export function randomCuts(random: Random, bytes: number, least: number): number[] {
  const places = Math.floor((bytes - 1) / 8)
  const chosen = Array.from({ length: 1 + random.below(9) }, () => (1 + random.below(Math.max(1, places))) * 8)
  const offsets = [...new Set(chosen)].filter((offset) => offset >= least && offset < bytes)
  return offsets.toSorted((one, other) => one - other)
}

/** In an order that chance has made. */
export function shuffled<Item>(random: Random, items: readonly Item[]): Item[] {
  const rest = [...items]
  return items.map(() => rest.splice(random.below(rest.length), 1)[0]!)
}
