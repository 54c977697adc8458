import type {
  DirectionPrimitive,
  EncapsulationPrimitive,
  Expression,
  InterfacePrimitive,
  LlcPrimitive,
  PacketFilterPrimitive,
  Primitive,
  Span,
  WlanPrimitive,
} from '../filter/index.js'
import { lowerRelation } from './arithmetic.js'
import { all, any, type Condition, compare, matchesMask, not } from './condition.js'
import { type Encapsulated, lowerEncapsulation } from './encapsulation.js'
import { UnsupportedError } from './errors.js'
import type { Headers } from './headers.js'
import { lowerIsoProtocol } from './iso.js'
import { LINK_TYPES } from './link/types.js'
import { carries, lowerAddress, lowerAddressSet, lowerIpCast, lowerLinkAddress, lowerLinkCast } from './network.js'
import { lowerProtocolChain } from './protocol-chain.js'
import { lowerIpProtocol, lowerPort } from './transport.js'
import { constant, load } from './value.js'

/** For which packets an expression is compiled. */
export interface LowerOptions {
  /** As `tcpdump -y` names it; `EN10MB` where nothing is said. */
  readonly linkType?: string
  /** IPv4 netmask of the network, for `ip broadcast`; null where it is not known. */
  readonly netmask?: number | null
}

const EMPTY: Span = { start: 0, end: 0 }

/**
 * What `expression` asks of a packet's bytes; null, the empty expression,
 * takes every packet. Throws UnsupportedError where it asks for something that
 * Sluice does not compile or the link type does not have.
 */
export function lower(expression: Expression | null, options: LowerOptions = {}): Condition {
  const { linkType = 'EN10MB', netmask = null } = options
  const type = LINK_TYPES.get(linkType)?.()
  if (type === undefined) {
    const known = 'EN10MB, RAW, LINUX_SLL, PPP, NULL, IEEE802_11 or another that network devices have'
    const message = `link type ${linkType} cannot be compiled for, because XDP never sees it; use ${known}`
    throw new UnsupportedError(message, EMPTY)
  }
  if (expression === null) return type.requires
  const { condition } = lowerExpression(expression, type.headers, netmask)
  const needed = type.computedFirst.filter(({ key }) => mentions(condition, key))
  return all(type.requires, ...needed.map((value) => compare(value, '>=', constant(0))), condition)
}

/** A value with this key is computed for a test of the condition, or as a part of one. */
function mentions(condition: Condition, key: string): boolean {
  switch (condition.kind) {
    case 'always':
      return false
    case 'test':
      return condition.test.key.includes(key)
    case 'not':
      return mentions(condition.operand, key)
    default:
      return condition.operands.some((operand) => mentions(operand, key))
  }
}

function lowerExpression(expression: Expression, headers: Headers, netmask: number | null): Encapsulated {
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
function lowerChain(expression: Expression, headers: Headers, netmask: number | null): Encapsulated {
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
    case 'iso-protocol':
      return lowerIsoProtocol(primitive, headers)
    case 'protocol-chain':
      return lowerProtocolChain(primitive, headers)
    case 'wlan':
      return lowerWlan(primitive, headers)
    case 'direction':
      return lowerDirection(primitive, headers)
    case 'interface':
      return lowerInterface(primitive, headers)
    case 'pf':
      return lowerLogField(primitive, headers)
    case 'telephony':
      throw new UnsupportedError(
        `${primitive.field} is a field of ATM or SS7, which no device with XDP receives`,
        primitive.span,
      )
    case 'gateway':
      throw new UnsupportedError(
        'gateway needs the addresses of the host; write them out as pcap-filter(7) does',
        primitive.span,
      )
  }
}

/** `inbound`, `outbound`: where the link header tells. */
function lowerDirection({ direction, span }: DirectionPrimitive, headers: Headers): Condition {
  const { hasDirection, name } = headers.link
  if (hasDirection !== null) return hasDirection(headers, direction)
  const message = `${name} frames do not say which way they went, and a program at the receiving hook sees only what comes in; leave this out`
  throw new UnsupportedError(message, span)
}

/** `ifindex`: where the link header tells. */
function lowerInterface({ index, span }: InterfacePrimitive, headers: Headers): Condition {
  const { hasInterface, name } = headers.link
  if (hasInterface !== null) return hasInterface(headers, index)
  const message = `${name} frames do not name a device, and a program sees only the one it is attached to; leave this out`
  throw new UnsupportedError(message, span)
}

function lowerLogField({ field, value, span }: PacketFilterPrimitive, headers: Headers): Condition {
  const { hasLogField, name } = headers.link
  if (hasLogField !== null) return hasLogField(headers, field, value)
  throw new UnsupportedError(`${name} frames are no entries of a packet filter's log; leave this out`, span)
}

/** `type mgt`, `dir fromds`: bits of the frame control field (IEEE 802.11, 9.2.4.1). */
function lowerWlan({ byte, mask, value }: WlanPrimitive, { start }: Headers): Condition {
  return matchesMask(load(start, byte, 1), mask, value)
}

/** `llc`, and the frame formats of IEEE 802.2 by the low bits of the control field. */
function lowerLlc({ frame, value, span }: LlcPrimitive, headers: Headers): Condition {
  const { hasLlc, name } = headers.link
  if (hasLlc === null) throw new UnsupportedError(`${name} frames have no LLC header; leave this out`, span)
  const isLlc = hasLlc(headers)
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
