import type { AddressPrimitive, AddressSetPrimitive, Direction, LinkAddressPrimitive, Span } from '../filter/index.js'
import { all, any, type Condition, isIn, matchesMask } from './condition.js'
import { eitherSide } from './direction.js'
import { UnsupportedError } from './errors.js'
import { atBottomOfStack, ETHERTYPE, type Headers, hasBytes, networkOf } from './headers.js'
import { load, type Place } from './value.js'

const IPV4_SOURCE = 12
const IPV4_DESTINATION = 16
const IPV6_SOURCE = 8
const IPV6_DESTINATION = 24
/** RFC 826 with 6-byte hardware and 4-byte protocol addresses. */
const ARP_SENDER = 14
const ARP_TARGET = 24

/**
 * The packet carries `protocol` (an EtherType or LLC access point) at this
 * point. Behind MPLS labels nothing names it, so the label must be the last
 * and the version of the IP header decides.
 */
export function carries(headers: Headers, protocol: number, span: Span): Condition {
  if (headers.labels === 0) {
    const { carries: linkCarries, name } = headers.link
    if (linkCarries !== null) return linkCarries(headers, protocol)
    throw new UnsupportedError(`${name} frames do not say what they carry; ask for bytes, as in link[0] = 1`, span)
  }
  if (protocol !== ETHERTYPE.ip && protocol !== ETHERTYPE.ip6)
    throw new UnsupportedError('behind MPLS only IPv4 and IPv6 can be told apart; test for these two there', span)
  return all(atBottomOfStack(headers), hasIpVersion(headers, protocol === ETHERTYPE.ip ? 4 : 6))
}

function hasIpVersion(headers: Headers, version: 4 | 6): Condition {
  return matchesMask(load(networkOf(headers), 0, 1), 0xf0, version << 4)
}

/** `host`, `net`: IPv4 addresses also in ARP and RARP, unless the expression names one of the three. */
export function lowerAddress(primitive: AddressPrimitive, headers: Headers): Condition {
  const { family, words, mask } = primitive
  const matches = (offset: number) => hasAddress(headers, offset, words, mask)
  return family === 4 ? atIpv4Address(primitive, headers, matches) : atIpv6Address(primitive, headers, matches)
}

/** `net @name`: as `host` and `net` of each member, joined by `or`. */
export function lowerAddressSet(primitive: AddressSetPrimitive, headers: Headers): Condition {
  const { protocol, set } = primitive
  const word = (offset: number) => load(networkOf(headers), offset, 4)
  const inIpv4 = (offset: number) => isIn(set, [word(offset)])
  const inIpv6 = (at: number) => isIn(set, [word(at), word(at + 4), word(at + 8), word(at + 12)])
  if (protocol === 'ip6') return atIpv6Address(primitive, headers, inIpv6)
  const four = atIpv4Address(primitive, headers, inIpv4)
  return protocol === null ? any(four, atIpv6Address(primitive, headers, inIpv6)) : four
}

type AnyAddress = AddressPrimitive | AddressSetPrimitive

/** Applies `matches` to the IPv4 addresses that the protocol and the direction ask for. */
function atIpv4Address(
  { protocol, direction, span }: AnyAddress,
  headers: Headers,
  matches: (offset: number) => Condition,
): Condition {
  const at = (source: number, destination: number) => eitherSide(direction, span, source, destination, matches)
  const inIp = () => all(carries(headers, ETHERTYPE.ip, span), at(IPV4_SOURCE, IPV4_DESTINATION))
  const inArp = (type: number) => all(carries(headers, type, span), at(ARP_SENDER, ARP_TARGET))
  if (protocol === 'ip') return inIp()
  if (protocol === 'arp' || protocol === 'rarp') return inArp(ETHERTYPE[protocol])
  if (headers.labels > 0) return inIp()
  return any(inIp(), inArp(ETHERTYPE.arp), inArp(ETHERTYPE.rarp))
}

function atIpv6Address(
  { direction, span }: AnyAddress,
  headers: Headers,
  matches: (offset: number) => Condition,
): Condition {
  const addresses = eitherSide(direction, span, IPV6_SOURCE, IPV6_DESTINATION, matches)
  return all(carries(headers, ETHERTYPE.ip6, span), addresses)
}

function hasAddress(headers: Headers, offset: number, words: readonly number[], mask: readonly number[]): Condition {
  const network = networkOf(headers)
  return all(...words.map((word, index) => matchesMask(load(network, offset + 4 * index, 4), mask[index]!, word)))
}

/** `ether host`, `wlan addr1`, `link host`. */
export function lowerLinkAddress({ direction, bytes, span }: LinkAddressPrimitive, headers: Headers): Condition {
  return atStations(headers, direction, span, (place) => hasBytes(place, bytes))
}

function atStations(headers: Headers, direction: Direction, span: Span, matches: (place: Place) => Condition) {
  const { stations } = headers.link
  if (stations === null) throw noStations(headers, span)
  const found = stations.find(headers, direction, span, matches)
  return headers.isFrame === null ? found : all(headers.isFrame, found)
}

function noStations({ link }: Headers, span: Span): UnsupportedError {
  return new UnsupportedError(`${link.name} frames have no link addresses; leave this out`, span)
}

/** `ip broadcast` against the netmask of the network, `ip multicast` (RFC 5771), `ip6 multicast` (RFC 4291, 2.7). */
export function lowerIpCast(
  layer: 'ip' | 'ip6',
  cast: 'broadcast' | 'multicast',
  headers: Headers,
  netmask: number | null,
  span: Span,
): Condition {
  const network = networkOf(headers)
  if (layer === 'ip6') {
    if (cast === 'broadcast') throw new UnsupportedError('IPv6 has no broadcast; ask for ip6 multicast', span)
    return all(carries(headers, ETHERTYPE.ip6, span), matchesMask(load(network, IPV6_DESTINATION, 1), 0xff, 0xff))
  }
  const isIp = carries(headers, ETHERTYPE.ip, span)
  // 224.0.0.0/3 and not /4: libpcap counts the reserved class E in.
  if (cast === 'multicast') return all(isIp, matchesMask(load(network, IPV4_DESTINATION, 1), 0xe0, 0xe0))
  if (netmask === null)
    throw new UnsupportedError('ip broadcast needs the netmask of the network, which is not known here; name it', span)
  const hostMask = ~netmask >>> 0
  const destination = load(network, IPV4_DESTINATION, 4)
  return all(isIp, any(matchesMask(destination, hostMask, 0), matchesMask(destination, hostMask, hostMask)))
}

/** `broadcast`, `multicast` of the link: the address of all stations, or the group bit (IEEE 802). */
export function lowerLinkCast(cast: 'broadcast' | 'multicast', headers: Headers, span: Span): Condition {
  const { stations } = headers.link
  if (stations === null) throw noStations(headers, span)
  const { broadcast, hasGroupBit } = stations
  const isGroup = (place: Place) => matchesMask(load(place, 0, 1), 1, 1)
  const matches = cast === 'multicast' && hasGroupBit ? isGroup : (place: Place) => hasBytes(place, broadcast)
  return atStations(headers, 'dst', span, matches)
}
