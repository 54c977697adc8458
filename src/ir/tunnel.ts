import type { EncapsulationPrimitive, Span } from '../filter/index.js'
import { all, any, type Condition, compare, matchesMask } from './condition.js'
import { binary } from './fold.js'
import { at, ETHERTYPE, type Headers, networkOf } from './headers.js'
import { ethernet } from './link/ethernet.js'
import { carries } from './network.js'
import {
  behindIpv4,
  behindIpv6,
  IP_PROTOCOL,
  IPV6_HEADER_BYTES,
  ipv4HeaderBytes,
  ipv4Names,
  ipv6Names,
  isFirstFragment,
} from './transport.js'
import { answerOf, isEqual, maskOf, multiplied, sum } from './truth.js'
import { constant, load, type Place, type Value } from './value.js'

const UDP_HEADER_BYTES = 8
const UDP_DESTINATION_PORT = 2
const ETHERNET_HEADER_BYTES = 14
const ETHERNET_TYPE = 12

/** What a tunnel over UDP asks of its own header, and what it carries. */
interface Tunnel {
  readonly port: number
  /** The header is of the version that is understood, at its place. */
  readonly isValid: (header: Place) => Condition
  /** Where the 24-bit network identifier stands, with 8 bits behind it. */
  readonly identifierAt: number
  readonly headersBehind: (header: Value) => Inside
}

/** Headers inside of a tunnel, and a read without which they cannot be placed. */
interface Inside {
  readonly headers: Headers
  readonly isPlaced: Condition
}

/** RFC 7348: bit 3 of the flags says that the identifier is valid; 8 bytes, then an Ethernet frame. */
const vxlan: Tunnel = {
  port: 4789,
  isValid: (header) => compare(load(header, 0, 1), '=', constant(0x08)),
  identifierAt: 4,
  headersBehind(header) {
    const frame = binary('+', header, constant(8))
    const headers: Headers = {
      link: ethernet,
      start: at(0, frame),
      type: at(ETHERNET_TYPE, frame),
      payload: at(ETHERNET_HEADER_BYTES, frame),
      labels: 0,
      isFrame: all(),
    }
    return { headers, isPlaced: all() }
  },
}

/** RFC 8926: version 0, options in units of 4 bytes; the type tells whether an Ethernet frame or a packet follows. */
const geneve: Tunnel = {
  port: 6081,
  isValid: (header) => matchesMask(load(header, 0, 1), 0xc0, 0),
  identifierAt: 4,
  headersBehind(header) {
    const options = binary('<<', binary('&', load(at(0, header), 0, 1), constant(0x3f)), constant(2))
    const end = binary('+', binary('+', header, options), constant(8))
    const type = load(at(0, header), 2, 2)
    const isFrame = isEqual(type, ETHERTYPE.bridgedEthernet)
    // The type in a frame's header, or else the one in the tunnel's: both are EtherTypes.
    const typeInFrame = binary('&', binary('+', options, constant(8 + ETHERNET_TYPE - 2)), maskOf(isFrame))
    const headers: Headers = {
      link: ethernet,
      start: at(0, end),
      type: at(2, binary('+', header, typeInFrame)),
      payload: at(0, binary('+', end, multiplied(isFrame, ETHERNET_HEADER_BYTES))),
      labels: 0,
      isFrame: compare(type, '=', constant(ETHERTYPE.bridgedEthernet)),
    }
    return { headers, isPlaced: compare(type, '>=', constant(0)) }
  },
}

const TUNNELS = { vxlan, geneve } as const

/**
 * `geneve 7`, `vxlan`: the packet is of the tunnel, and what stands behind in
 * the text looks inside, on the assumption that the packet is of the tunnel.
 */
export function lowerTunnel(
  { type, id, span }: EncapsulationPrimitive & { readonly type: keyof typeof TUNNELS },
  headers: Headers,
): { readonly condition: Condition; readonly headers: Headers } {
  const tunnel = TUNNELS[type]
  const behindUdp = (udp: Place) => {
    const header = { base: udp.base, offset: udp.offset + UDP_HEADER_BYTES }
    const hasId = id === null ? all() : matchesMask(load(header, tunnel.identifierAt, 4), 0xffffff00, id * 256)
    const port = load(udp, UDP_DESTINATION_PORT, 2)
    return all(compare(port, '=', constant(tunnel.port)), tunnel.isValid(header), hasId)
  }
  const overIpv4 = all(
    carries(headers, ETHERTYPE.ip, span),
    ipv4Names(headers, IP_PROTOCOL.udp),
    isFirstFragment(headers),
    behindUdp(behindIpv4(headers)),
  )
  const overIpv6 = all(
    carries(headers, ETHERTYPE.ip6, span),
    ipv6Names(headers, IP_PROTOCOL.udp),
    behindUdp(behindIpv6(headers)),
  )
  const inside = tunnel.headersBehind(tunnelHeader(headers, span))
  return { condition: all(any(overIpv4, overIpv6), inside.isPlaced), headers: inside.headers }
}

/** Where the tunnel's header starts: behind IPv6 where the link header says so, otherwise behind IPv4. */
function tunnelHeader(headers: Headers, span: Span): Value {
  const isIpv6 = answerOf(carries(headers, ETHERTYPE.ip6, span))
  const ofIpv4 = binary('&', ipv4HeaderBytes(headers), binary('-', isIpv6, constant(1)))
  const ipBytes = binary('+', ofIpv4, multiplied(isIpv6, IPV6_HEADER_BYTES))
  const network = networkOf(headers)
  return binary('+', sum(network.base, ipBytes), constant(network.offset + UDP_HEADER_BYTES))
}
