import type { Expression, IpProtocolPrimitive, LinkProtocolPrimitive, Span } from './ast.js'
import { type CheckState, fault, known, notOnLinkType, quoted, requireAtMost, requireCarrier } from './check-state.js'
import { ETHER_TYPES, IP, IP6, LLC_SAPS } from './names/ether-types.js'
import { findIpProtocol, IP_WORDS } from './names/ip-protocols.js'
import { ISIS_PDU_TYPES, ISO_PROTOCOLS } from './names/iso.js'
import type { ProtocolName } from './names/keywords.js'
import type { Qualifiers, Value } from './syntax.js'

const ISO_SAP = 0xfe

/** A protocol name that stands alone. Throws when the link type cannot carry it. */
export function checkProtocol(state: CheckState, name: ProtocolName, span: Span): Expression {
  const word = IP_WORDS[name]
  if (word) return ipProtocol(state, word.family, word.protocol, span)
  const type = ETHER_TYPES.get(name) ?? LLC_SAPS.get(name)
  if (type !== undefined) return linkProtocol(state, type, span)
  const iso = ISO_PROTOCOLS.get(name)
  if (iso !== undefined) return isoProtocol(state, 'iso', [iso], span)
  const pdus = ISIS_PDU_TYPES.get(name)
  if (pdus) return isoProtocol(state, 'isis', pdus, span)
  throw fault(state, `${quoted(state, span)} alone asks nothing; write what about it, as in link[0] = 1`, span)
}

/** Bytes counted from this header can only be read where the link type can carry it. */
export function requireHeader(state: CheckState, base: string, span: Span): void {
  const word = IP_WORDS[base as ProtocolName]
  if (word?.family === 6) requireCarrier(state, IP6, span)
  else if (word) requireCarrier(state, IP, span)
  else if (base !== 'link' && base !== 'radio') requireCarrier(state, ETHER_TYPES.get(base)!, span)
}

/** `proto 6`, `ether proto \arp`, `isis proto 18`. Throws for an unknown name or a number that is too large. */
export function checkProto(state: CheckState, qualifiers: Qualifiers, value: Value): Expression {
  const { protocol } = qualifiers
  const { span } = value
  const number = protocolNumber(state, protocol, value)
  switch (protocol) {
    case null:
      return ipProtocol(state, null, checkedNumber(state, number, span), span)
    case 'ip':
      return ipProtocol(state, 4, checkedNumber(state, number, span), span)
    case 'ip6':
      return ipProtocol(state, 6, checkedNumber(state, number, span), span)
    case 'link':
      return linkProtocol(state, number, span)
    case 'iso':
      requireAtMost(state, 'ISO protocol', number, 0xff, span)
      return isoProtocol(state, 'iso', [number], span)
    case 'isis':
      requireAtMost(state, 'IS-IS PDU type', number, 31, span)
      return isoProtocol(state, 'isis', [number], span)
    default:
      throw wrongProtocol(state, qualifiers, 'a protocol', 'nothing, ip, ip6, ether, iso or isis')
  }
}

/** `protochain 6`: through IPv6 extension headers and AH. Throws where the link header has no fixed length. */
export function checkProtocolChain(state: CheckState, qualifiers: Qualifiers, value: Value): Expression {
  const { protocol } = qualifiers
  const number = protocolNumber(state, protocol, value)
  if (protocol !== null && protocol !== 'ip' && protocol !== 'ip6') {
    throw wrongProtocol(state, qualifiers, 'a chain of headers', 'nothing, ip or ip6')
  }
  checkedNumber(state, number, value.span)
  if (state.linkType.isVariable || state.isTunnelled)
    throw notOnLinkType(state, 'header of fixed length, which protochain needs', qualifiers.span)
  const family = protocol === null ? null : protocol === 'ip' ? 4 : 6
  return known(
    state,
    { kind: 'protocol-chain', family, protocol: number, span: value.span },
    carries(state, family, value.span),
  )
}

/** The error for a protocol that does not go with a type of value; `expected` lists those that do. */
export function wrongProtocol(state: CheckState, qualifiers: Qualifiers, what: string, expected: string) {
  const { start } = qualifiers.span
  const word = /^\S+/.exec(state.source.slice(start))?.[0] ?? ''
  const message = `"${word}" cannot qualify ${what}; write ${expected} before it, or join two primitives by "and"`
  return fault(state, message, { start, end: start + word.length }, expected)
}

function checkedNumber(state: CheckState, number: number, span: Span): number {
  requireAtMost(state, 'protocol number', number, 0xff, span)
  return number
}

function protocolNumber(state: CheckState, protocol: ProtocolName | null, value: Value): number {
  if (value.kind === 'number') return value.value
  if (value.kind !== 'name') {
    throw fault(
      state,
      `${quoted(state, value.span)} is an address, not a protocol; write a number or a name`,
      value.span,
    )
  }
  const number = findProtocol(protocol, value.text)
  if (number !== undefined) return number
  throw fault(state, `no protocol is called "${value.text}" here; write its number`, value.span)
}

function findProtocol(protocol: ProtocolName | null, name: string): number | undefined {
  if (protocol === 'link') return ETHER_TYPES.get(name) ?? LLC_SAPS.get(name)
  if (protocol === 'iso') return ISO_PROTOCOLS.get(name)
  return protocol === null || protocol === 'ip' || protocol === 'ip6' ? findIpProtocol(name) : undefined
}

function ipProtocol(state: CheckState, family: 4 | 6 | null, protocol: number, span: Span): IpProtocolPrimitive {
  const node: IpProtocolPrimitive = { kind: 'ip-protocol', family, protocol, span }
  return known(state, node, carries(state, family, span))
}

/** False when the link type never carries these IP versions; a header that is there may still differ. */
function carries(state: CheckState, family: 4 | 6 | null, span: Span): false | null {
  const four = family === 6 ? false : requireCarrier(state, IP, span)
  const six = family === 4 ? false : requireCarrier(state, IP6, span)
  return four === false && six === false ? false : null
}

function linkProtocol(state: CheckState, type: number, span: Span): LinkProtocolPrimitive {
  const carried = requireCarrier(state, type, span)
  return known(state, { kind: 'link-protocol', type, span }, carried)
}

function isoProtocol(state: CheckState, layer: 'iso' | 'isis', types: readonly number[], span: Span): Expression {
  const carried = requireCarrier(state, ISO_SAP, span)
  return known(state, { kind: 'iso-protocol', layer, types, span }, carried === false ? false : null)
}
