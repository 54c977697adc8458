import type { ProtocolChainPrimitive, Span } from '../filter/index.js'
import { all, any, type Condition, compare } from './condition.js'
import { binary } from './fold.js'
import { ETHERTYPE, type Headers, networkOf } from './headers.js'
import { carries } from './network.js'
import { IPV4_PROTOCOL_OFFSET, IPV6_HEADER_BYTES, IPV6_NEXT_HEADER_OFFSET, ipv4HeaderBytes } from './transport.js'
import { isEqual, maskOf, sum } from './truth.js'
import { constant, load, type Value } from './value.js'

/** Hop-by-hop options, routing, fragment, destination options (RFC 8200, section 4). */
const EXTENSIONS = [0, 60, 43, 44] as const
/** Authentication header (RFC 4302). */
const AUTHENTICATION = 51

/**
 * Headers behind the IP header that are walked through; a longer chain matches
 * nothing. RFC 8200, section 4.1, recommends an order of at most 7.
 */
const MOST_HEADERS = 7

/** `protochain N`: a header of this chain names N as what follows it. */
export function lowerProtocolChain(primitive: ProtocolChainPrimitive, headers: Headers): Condition {
  const { family, protocol, span } = primitive
  if (family === 4) return inIpv4(protocol, headers, span)
  if (family === 6) return inIpv6(protocol, headers, span)
  return any(inIpv4(protocol, headers, span), inIpv6(protocol, headers, span))
}

function inIpv4(protocol: number, headers: Headers, span: Span): Condition {
  const chain = { headers, protocol, extensions: [] }
  const named = load(networkOf(headers), IPV4_PROTOCOL_OFFSET, 1)
  return all(carries(headers, ETHERTYPE.ip, span), follow(chain, named, ipv4HeaderBytes(headers), MOST_HEADERS))
}

function inIpv6(protocol: number, headers: Headers, span: Span): Condition {
  const chain = { headers, protocol, extensions: EXTENSIONS }
  const named = load(networkOf(headers), IPV6_NEXT_HEADER_OFFSET, 1)
  const behind = constant(IPV6_HEADER_BYTES)
  return all(carries(headers, ETHERTYPE.ip6, span), follow(chain, named, behind, MOST_HEADERS))
}

interface Chain {
  readonly headers: Headers
  readonly protocol: number
  readonly extensions: readonly number[]
}

/** What `named` names, a header at `offset` from the network header, is the protocol or leads to it. */
function follow(chain: Chain, named: Value, offset: Value, most: number): Condition {
  const { headers, protocol, extensions } = chain
  const is = (number: number) => compare(named, '=', constant(number))
  if (most === 0) return is(protocol)
  const network = networkOf(headers)
  const header = { base: sum(network.base, offset), offset: network.offset }
  const next = load(header, 0, 1)
  const length = load(header, 1, 1)
  const behind = nextOffset(chain, named, offset, length)
  const canFollow = any(...extensions.map(is), is(AUTHENTICATION))
  // The length is read even where the next header already is the one that is looked for.
  return any(is(protocol), all(canFollow, compare(length, '>=', constant(0)), follow(chain, next, behind, most - 1)))
}

/**
 * Lengths are in units of 8 bytes after the first 8, and in an authentication
 * header of 4 bytes after the first 8. Behind that one libpcap forgets where it
 * stood and goes on from the IP header; so does this, to match the same packets.
 */
function nextOffset({ extensions }: Chain, named: Value, offset: Value, length: Value): Value {
  const behindAuthentication = binary('<<', binary('+', length, constant(2)), constant(2))
  if (extensions.length === 0) return behindAuthentication
  const behindExtension = binary('+', offset, binary('<<', binary('+', length, constant(1)), constant(3)))
  const isAuthentication = isEqual(named, AUTHENTICATION)
  return binary(
    '+',
    binary('&', behindAuthentication, maskOf(isAuthentication)),
    binary('&', behindExtension, binary('-', isAuthentication, constant(1))),
  )
}
