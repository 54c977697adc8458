import type { IpProtocolPrimitive, PortPrimitive } from '../filter/index.js'
import { all, any, type Condition, compare, matchesMask } from './condition.js'
import { eitherSide } from './direction.js'
import { binary } from './fold.js'
import { ETHERTYPE, type Headers, networkOf } from './headers.js'
import { carries } from './network.js'
import { sum } from './truth.js'
import { constant, load, type Place, type Value } from './value.js'

/** Protocol numbers (IANA, Assigned Internet Protocol Numbers). */
export const IP_PROTOCOL = {
  icmp: 1,
  igmp: 2,
  tcp: 6,
  igrp: 9,
  udp: 17,
  icmp6: 58,
  pim: 103,
  vrrp: 112,
  carp: 112,
  sctp: 132,
} as const

const IPV6_FRAGMENT = 44
export const IPV4_PROTOCOL_OFFSET = 9
const IPV4_FRAGMENT_OFFSET = 6
export const IPV6_NEXT_HEADER_OFFSET = 6
export const IPV6_HEADER_BYTES = 40

/** The IPv4 header names `protocol`, whether or not this is a first fragment. */
export function ipv4Names(headers: Headers, protocol: number): Condition {
  return compare(load(networkOf(headers), IPV4_PROTOCOL_OFFSET, 1), '=', constant(protocol))
}

/** The fixed IPv6 header names `protocol` as what follows it. */
export function ipv6Names(headers: Headers, protocol: number): Condition {
  return compare(load(networkOf(headers), IPV6_NEXT_HEADER_OFFSET, 1), '=', constant(protocol))
}

/** Only a first fragment holds the transport header (RFC 791, section 3.1). */
export function isFirstFragment(headers: Headers): Condition {
  return matchesMask(load(networkOf(headers), IPV4_FRAGMENT_OFFSET, 2), 0x1fff, 0)
}

/** Bytes of the IPv4 header: 4 times the low half of its first byte. */
export function ipv4HeaderBytes(headers: Headers): Value {
  const words = binary('&', load(networkOf(headers), 0, 1), constant(0x0f))
  return binary('<<', words, constant(2))
}

/** Behind the IPv4 header and its options. */
export function behindIpv4(headers: Headers): Place {
  const { base, offset } = networkOf(headers)
  return { base: sum(base, ipv4HeaderBytes(headers)), offset }
}

/** Behind the fixed IPv6 header; extension headers are not skipped, as in libpcap. */
export function behindIpv6(headers: Headers): Place {
  const network = networkOf(headers)
  return { base: network.base, offset: network.offset + IPV6_HEADER_BYTES }
}

/** `tcp`, `ip proto 6`, `ip6 proto 6`: over IPv6 also behind one fragment header (RFC 8200, section 4.5). */
export function lowerIpProtocol({ family, protocol, span }: IpProtocolPrimitive, headers: Headers): Condition {
  const inIpv4 = () => all(carries(headers, ETHERTYPE.ip, span), ipv4Names(headers, protocol))
  const inIpv6 = () => {
    const behindFragment = compare(load(behindIpv6(headers), 0, 1), '=', constant(protocol))
    return all(
      carries(headers, ETHERTYPE.ip6, span),
      any(ipv6Names(headers, protocol), all(ipv6Names(headers, IPV6_FRAGMENT), behindFragment)),
    )
  }
  if (family === 4) return inIpv4()
  return family === 6 ? inIpv6() : any(inIpv4(), inIpv6())
}

/** `port`, `portrange`: TCP, UDP and SCTP have the source port at byte 0 and the destination port at byte 2. */
export function lowerPort({ transport, direction, low, high, span }: PortPrimitive, headers: Headers): Condition {
  const protocols = transport === null ? [IP_PROTOCOL.tcp, IP_PROTOCOL.udp, IP_PROTOCOL.sctp] : [IP_PROTOCOL[transport]]
  const portsAt = (place: Place) => eitherSide(direction, span, 0, 2, (offset) => isWithin(place, offset, low, high))
  const inIpv4 = all(
    carries(headers, ETHERTYPE.ip, span),
    any(...protocols.map((protocol) => ipv4Names(headers, protocol))),
    isFirstFragment(headers),
    portsAt(behindIpv4(headers)),
  )
  const inIpv6 = all(
    carries(headers, ETHERTYPE.ip6, span),
    any(...protocols.map((protocol) => ipv6Names(headers, protocol))),
    portsAt(behindIpv6(headers)),
  )
  return any(inIpv4, inIpv6)
}

function isWithin(place: Place, offset: number, low: number, high: number): Condition {
  const port = load(place, offset, 2)
  if (low === high) return compare(port, '=', constant(low))
  return all(compare(port, '>=', constant(low)), compare(port, '<=', constant(high)))
}
