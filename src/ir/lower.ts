import type { EncapsulationPrimitive, Expression, LlcPrimitive, Primitive, Span } from '../filter/index.js'
import { lowerRelation } from './arithmetic.js'
import { all, any, type Condition, compare, matchesMask, not } from './condition.js'
import { UnsupportedError } from './errors.js'
import {
  atBottomOfStack,
  behindLabel,
  behindPppoe,
  behindVlan,
  ETHERTYPE,
  type Headers,
  hasLength,
  LINK_TYPES,
  networkOf,
} from './headers.js'
import { carries, lowerAddress, lowerAddressSet, lowerIpCast, lowerLinkAddress, lowerLinkCast } from './network.js'
import { lowerIpProtocol, lowerPort } from './transport.js'
import { constant, load } from './value.js'

/** For which packets an expression is compiled. */
export interface LowerOptions {
  /** As `tcpdump -y` names it; `EN10MB` where nothing is said. */
  readonly linkType?: string
  /** IPv4 netmask of the network, for `ip broadcast`; null where it is not known. */
  readonly netmask?: number | null
}

/** What a primitive asks, and where the headers lie for all that stands behind it in the text. */
interface Lowered {
  readonly condition: Condition
  readonly headers: Headers
}

const EMPTY: Span = { start: 0, end: 0 }

/**
 * What `expression` asks of a packet's bytes; null, the empty expression,
 * takes every packet. Throws UnsupportedError where it asks for something that
 * Sluice does not compile or the link type does not have.
 */
export function lower(expression: Expression | null, options: LowerOptions = {}): Condition {
  const { linkType = 'EN10MB', netmask = null } = options
  const headers = LINK_TYPES.get(linkType)
  if (headers === undefined) {
    const known = [...LINK_TYPES.keys()].join(', ')
    throw new UnsupportedError(`the link type ${linkType} is not compiled yet; use one of ${known}`, EMPTY)
  }
  return expression === null ? all() : lowerExpression(expression, headers, netmask).condition
}

function lowerExpression(expression: Expression, headers: Headers, netmask: number | null): Lowered {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return lowerChain(expression, headers, netmask)
    case 'not': {
      const operand = lowerExpression(expression.operand, headers, netmask)
      return { condition: not(operand.condition), headers: operand.headers }
    }
    case 'encapsulation':
      return lowerEncapsulation(expression, headers)
    default:
      return { condition: lowerPrimitive(expression, headers, netmask), headers }
  }
}

/** A row of ten thousand `or` leans to the left as deep as it is long, so it is walked and not recursed into. */
function lowerChain(expression: Expression, headers: Headers, netmask: number | null): Lowered {
  const { kind } = expression
  const operands: Expression[] = []
  let rest = expression
  while (rest.kind === kind && (rest.kind === 'and' || rest.kind === 'or')) {
    operands.push(rest.right)
    rest = rest.left
  }
  operands.push(rest)
  const conditions: Condition[] = []
  let current = headers
  for (const operand of operands.reverse()) {
    const lowered = lowerExpression(operand, current, netmask)
    conditions.push(lowered.condition)
    current = lowered.headers
  }
  return { condition: kind === 'and' ? all(...conditions) : any(...conditions), headers: current }
}

function lowerPrimitive(
  primitive: Exclude<Primitive, EncapsulationPrimitive>,
  headers: Headers,
  netmask: number | null,
): Condition {
  switch (primitive.kind) {
    case 'address':
      return lowerAddress(primitive, headers)
    case 'address-set':
      return lowerAddressSet(primitive, headers)
    case 'link-address':
      return lowerLinkAddress(primitive, headers)
    case 'port':
      return lowerPort(primitive, headers)
    case 'ip-protocol':
      return lowerIpProtocol(primitive, headers)
    case 'link-protocol':
      return carries(headers, primitive.type, primitive.span)
    case 'relation':
      return lowerRelation(primitive, headers)
    case 'cast':
      return primitive.layer === 'ip' || primitive.layer === 'ip6'
        ? lowerIpCast(primitive.layer, primitive.cast, headers, netmask, primitive.span)
        : lowerLinkCast(primitive.cast, headers, primitive.span)
    case 'llc':
      return lowerLlc(primitive, headers)
    default:
      throw new UnsupportedError(`not compiled yet: ${NAMES[primitive.kind]}`, primitive.span)
  }
}

/** What the reader of an error message calls the primitives that are refused. */
const NAMES = {
  'protocol-chain': 'protochain',
  gateway: 'gateway',
  direction: 'inbound and outbound; a program at the receiving hook sees only what comes in',
  interface: 'ifindex; a program sees only the device that it is attached to',
  'iso-protocol': 'ISO protocols (clnp, esis, isis)',
  wlan: 'IEEE 802.11 frame types and directions',
  pf: 'fields of the packet filter log',
  telephony: 'ATM and SS7 fields',
} as const

function lowerEncapsulation({ type, id, span }: EncapsulationPrimitive, headers: Headers): Lowered {
  switch (type) {
    case 'vlan':
      return lowerVlan(id, headers, span)
    case 'mpls':
      return lowerMpls(id, headers, span)
    case 'pppoed':
      return { condition: carries(headers, ETHERTYPE.pppoeDiscovery, span), headers }
    case 'pppoes': {
      const isSession = carries(headers, ETHERTYPE.pppoeSession, span)
      const hasId = id === null ? all() : compare(load(networkOf(headers), 2, 2), '=', constant(id))
      return { condition: all(isSession, hasId), headers: behindPppoe(headers) }
    }
    default:
      throw new UnsupportedError(`not compiled yet: ${type}`, span)
  }
}

/** IEEE 802.1Q, 802.1ad, and the type that older switches gave a second tag. */
function lowerVlan(id: number | null, headers: Headers, span: Span): Lowered {
  if (headers.labels > 0) throw new UnsupportedError('a VLAN tag cannot stand behind MPLS; put vlan first', span)
  if (!headers.link.tagged) throw new UnsupportedError(`${headers.link.name} frames have no VLAN tags`, span)
  const types = [ETHERTYPE.vlan, ETHERTYPE.serviceVlan, ETHERTYPE.oldVlan]
  const isTagged = any(...types.map((type) => carries(headers, type, span)))
  const hasId = id === null ? all() : matchesMask(load(headers.payload, 0, 2), 0x0fff, id)
  return { condition: all(isTagged, hasId), headers: behindVlan(headers) }
}

/** RFC 3032: 20 bits of label, then the traffic class, the bottom-of-stack bit and a lifetime. */
function lowerMpls(id: number | null, headers: Headers, span: Span): Lowered {
  const { mplsType, name } = headers.link
  if (mplsType === null) throw new UnsupportedError(`${name} frames carry no MPLS labels`, span)
  const follows = headers.labels > 0 ? not(atBottomOfStack(headers)) : carries(headers, mplsType, span)
  const hasLabel = id === null ? all() : matchesMask(load(networkOf(headers), 0, 4), 0xffff_f000, (id << 12) >>> 0)
  return { condition: all(follows, hasLabel), headers: behindLabel(headers) }
}

/** `llc`, and the frame formats of IEEE 802.2 by the low bits of the control field. */
function lowerLlc({ frame, value }: LlcPrimitive, headers: Headers): Condition {
  // 0xffff is no LLC header but the start of Novell's raw IPX.
  const isLlc = all(hasLength(headers), compare(load(headers.payload, 0, 2), '!=', constant(0xffff)))
  const control = load(headers.payload, 2, 1)
  switch (frame) {
    case null:
      return isLlc
    case 'i':
      return all(isLlc, matchesMask(control, 0x01, 0x00))
    case 's':
      return all(isLlc, matchesMask(control, 0x03, 0x01))
    case 'u':
      return all(isLlc, matchesMask(control, 0x03, 0x03))
    case 's-subtype':
      return all(isLlc, matchesMask(control, 0x0f, value))
    case 'u-subtype':
      return all(isLlc, matchesMask(control, 0xef, value))
  }
}
