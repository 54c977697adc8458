import { formatIpv4, formatIpv6, parseIpv4, parseIpv6, parseMac, prefixMask } from './address.js'
import type { AddressPrimitive, AddressSetPrimitive, Direction, Expression, LinkAddressPrimitive, Span } from './ast.js'
import { decnetHost, parseDecnet } from './check-decnet.js'
import { wrongProtocol } from './check-protocol.js'
import { type CheckState, fault, known, notOnLinkType, quoted, requireAtMost, requireCarrier } from './check-state.js'
import { ARP, DECNET, IP, IP6, RARP } from './names/ether-types.js'
import type { Qualifiers, Value } from './syntax.js'

const ADDRESS_CARRIERS = { ip: [IP], arp: [ARP], rarp: [RARP], ip6: [IP6] }
const ALL_ONES = 0xffffffff
const WLAN_DIRECTIONS: ReadonlySet<Direction> = new Set(['addr1', 'addr2', 'addr3', 'addr4', 'ra', 'ta'])

/** `host`, `net` and values without a type. Throws when protocol, direction, type and value do not go together. */
export function checkAddress(state: CheckState, qualifiers: Qualifiers, value: Value): Expression {
  const { protocol, type } = qualifiers
  if (value.kind === 'mac') return linkAddress(state, qualifiers, value.bytes, value.span)
  if (value.kind === 'set') return addressSet(state, qualifiers, value)
  if (value.kind === 'station') return stationAddress(state, qualifiers, value.bytes, value.span)
  if (protocol === 'decnet') return decnetAddress(state, qualifiers, value)
  switch (value.kind) {
    case 'ipv6':
      return ipv6Address(state, qualifiers, value.words, value.length, value.span)
    case 'ipv4-prefix':
      requireAtMost(state, 'prefix length', value.length, 32, value.span)
      return maskedAddress(state, qualifiers, value.text, prefixMask(value.length), value.span)
    case 'ipv4-masked':
      return maskedAddress(state, qualifiers, value.text, dotted(state, value.mask, value.span).word, value.span)
    case 'ipv4': {
      requireNetworkProtocol(state, qualifiers, value.span)
      // `host 10.1` is libpcap's short form of every address that begins so.
      const { word, bits } = dotted(state, value.text, value.span)
      return ipv4Address(state, qualifiers, word, prefixMask(bits), value.span)
    }
    case 'number': {
      requireNetworkProtocol(state, qualifiers, value.span)
      if (type !== 'net') return ipv4Address(state, qualifiers, value.value, ALL_ONES, value.span)
      return network(state, qualifiers, value.value, value.span)
    }
    case 'name':
      return type === 'net' ? namedNetwork(state, qualifiers, value) : namedHost(state, qualifiers, value)
  }
}

/** `gateway NAME`: frames of the host's MAC address whose IPv4, ARP or RARP addresses are all another's. */
export function checkGateway(state: CheckState, qualifiers: Qualifiers, value: Value): Expression {
  const { protocol } = qualifiers
  const { span } = value
  if (value.kind !== 'name')
    throw fault(state, `a gateway has a MAC and an IP address; write its name, not ${quoted(state, span)}`, span)
  if (protocol !== null && protocol !== 'ip' && protocol !== 'arp' && protocol !== 'rarp') {
    throw wrongProtocol(state, qualifiers, 'a gateway', 'nothing, ip, arp or rarp')
  }
  if (state.mplsLabels > 0 || state.isTunnelled)
    throw fault(state, 'gateway cannot look into mpls, geneve or vxlan; write it before them', span)
  requireStationAddress(state, qualifiers)
  const link = namedStation(state, { ...qualifiers, direction: 'src-or-dst' }, value)
  const addresses = hostAddresses(state, value).filter((text) => parseIpv4(text))
  if (addresses.length === 0)
    throw fault(state, `the host "${value.text}" has no IPv4 address; gateway needs one`, span)
  const others = (protocol === null ? (['ip', 'arp', 'rarp'] as const) : [protocol]).map((carrier): Expression => {
    const carried: Expression = { kind: 'link-protocol', type: ADDRESS_CARRIERS[carrier][0]!, span }
    const hosts = join(
      addresses.map((text) => ipv4Primitive(carrier, 'src-or-dst', parseIpv4(text)!.word, ALL_ONES, span)),
      span,
    )
    return { kind: 'and', left: carried, right: { kind: 'not', operand: hosts, span }, span }
  })
  return { kind: 'and', left: link, right: join(others, span), span }
}

/** Throws for the directions that only 802.11 headers have. */
export function requirePlainDirection(state: CheckState, qualifiers: Qualifiers): void {
  if (qualifiers.direction === null || !WLAN_DIRECTIONS.has(qualifiers.direction)) return
  throw fault(
    state,
    `"${qualifiers.direction}" names an address of an 802.11 header; write src or dst here`,
    qualifiers.span,
  )
}

function requireNetworkProtocol(state: CheckState, qualifiers: Qualifiers, span: Span): void {
  if (qualifiers.protocol !== 'link') return
  throw fault(state, `${quoted(state, span)} is no link address; write one such as 00:11:22:33:44:55`, span)
}

function dotted(state: CheckState, text: string, span: Span) {
  const address = parseIpv4(text)
  if (address) return address
  throw fault(state, `"${text}" is no IPv4 address; each part is a decimal number from 0 to 255`, span)
}

function maskedAddress(state: CheckState, qualifiers: Qualifiers, text: string, mask: number, span: Span): Expression {
  if (qualifiers.type !== 'net') {
    throw fault(state, `${quoted(state, span)} is a network, not a host; write net before it`, span)
  }
  const { word } = dotted(state, text, span)
  const network = (word & mask) >>> 0
  if (network !== word) {
    const bits = Math.clz32(~mask)
    const form = prefixMask(bits) === mask ? `/${bits}` : ` mask ${formatIpv4(mask)}`
    throw fault(state, `${quoted(state, span)} has non-network bits set; write ${formatIpv4(network)}${form}`, span)
  }
  return ipv4Address(state, qualifiers, word, mask, span)
}

/** `net 10` means 10.0.0.0/8: leading zero bytes of the number are not part of the network. */
function network(state: CheckState, qualifiers: Qualifiers, value: number, span: Span): Expression {
  let [word, mask] = [value, ALL_ONES]
  while (word !== 0 && word < 0x1000000) [word, mask] = [word * 256, (mask << 8) >>> 0]
  return ipv4Address(state, qualifiers, word, mask, span)
}

function ipv4Address(state: CheckState, qualifiers: Qualifiers, word: number, mask: number, span: Span): Expression {
  const { protocol } = qualifiers
  requirePlainDirection(state, qualifiers)
  if (protocol !== null && protocol !== 'ip' && protocol !== 'arp' && protocol !== 'rarp') {
    throw wrongProtocol(state, qualifiers, 'an IPv4 address', 'nothing, ip, arp or rarp')
  }
  const carriers = protocol !== null ? ADDRESS_CARRIERS[protocol] : state.mplsLabels > 0 ? [IP] : [IP, ARP, RARP]
  const carried = carriers.map((type) => requireCarrier(state, type, span))
  const node = ipv4Primitive(protocol, qualifiers.direction ?? 'src-or-dst', word, mask, span)
  return known(state, node, carried.every((answer) => answer === false) ? false : null)
}

function ipv4Primitive(
  protocol: 'ip' | 'arp' | 'rarp' | null,
  direction: Direction,
  word: number,
  mask: number,
  span: Span,
): AddressPrimitive {
  return { kind: 'address', protocol, direction, family: 4, words: [word], mask: [mask], span }
}

function ipv6Address(
  state: CheckState,
  qualifiers: Qualifiers,
  words: readonly number[],
  length: number,
  span: Span,
): Expression {
  const { protocol, type } = qualifiers
  requireAtMost(state, 'prefix length', length, 128, span)
  const mask = [0, 32, 64, 96].map((start) => prefixMask(Math.max(0, Math.min(32, length - start))))
  if (words.some((word, index) => (word & ~mask[index]!) !== 0)) {
    const network = formatIpv6(words.map((word, index) => (word & mask[index]!) >>> 0))
    throw fault(state, `${quoted(state, span)} has non-network bits set; write ${network}/${length}`, span)
  }
  if (type !== 'net' && length !== 128) {
    throw fault(state, `${quoted(state, span)} is a network, not a host; write net before it`, span)
  }
  requirePlainDirection(state, qualifiers)
  if (protocol !== null && protocol !== 'ip6')
    throw wrongProtocol(state, qualifiers, 'an IPv6 address', 'nothing or ip6')
  const carried = requireCarrier(state, IP6, span)
  const direction = qualifiers.direction ?? 'src-or-dst'
  const node: AddressPrimitive = { kind: 'address', protocol, direction, family: 6, words, mask, span }
  return known(state, node, carried === false ? false : null)
}

/** A set may hold addresses of both families, so both are asked for unless the protocol says which. */
function addressSet(state: CheckState, qualifiers: Qualifiers, { text: set, span }: Value & { kind: 'set' }) {
  const { protocol } = qualifiers
  requirePlainDirection(state, qualifiers)
  if (protocol !== null && protocol !== 'ip' && protocol !== 'arp' && protocol !== 'rarp' && protocol !== 'ip6')
    throw wrongProtocol(state, qualifiers, 'a set of addresses', 'nothing, ip, arp, rarp or ip6')
  if (state.options.sets?.has(set) !== true) throw unknownSet(state, set, span)
  const all = state.mplsLabels > 0 ? [IP, IP6] : [IP, ARP, RARP, IP6]
  const carried = (protocol === null ? all : ADDRESS_CARRIERS[protocol]).map((type) =>
    requireCarrier(state, type, span),
  )
  const direction = qualifiers.direction ?? 'src-or-dst'
  const node: AddressSetPrimitive = { kind: 'address-set', protocol, direction, set, span }
  return known(state, node, carried.every((answer) => answer === false) ? false : null)
}

function unknownSet(state: CheckState, set: string, span: Span) {
  const names = [...(state.options.sets ?? [])].map((name) => `@${name}`)
  if (names.length === 0) return fault(state, `there is no set "@${set}" here; only a policy has sets`, span)
  const shown = names.length > 8 ? [...names.slice(0, 8), '…'] : names
  return fault(state, `there is no set "@${set}"; write one of ${shown.join(', ')}, or add it to the sets`, span)
}

function linkAddress(state: CheckState, qualifiers: Qualifiers, bytes: readonly number[], span: Span): Expression {
  if (qualifiers.protocol !== 'link' || (qualifiers.type !== null && qualifiers.type !== 'host')) {
    throw fault(state, `${quoted(state, span)} is a MAC address; write ether host before it`, span)
  }
  requireStationAddress(state, qualifiers)
  return linkPrimitive(qualifiers, bytes, span)
}

/** Throws unless the link header has MAC addresses, in the directions asked for. */
function requireStationAddress(state: CheckState, qualifiers: Qualifiers): void {
  const { address, announces } = state.linkType
  if (announces !== 'unknown' && address !== 'mac' && address !== 'wlan') {
    throw notOnLinkType(state, 'MAC address', qualifiers.span)
  }
  if (address !== 'wlan' && announces !== 'unknown') requirePlainDirection(state, qualifiers)
}

function linkPrimitive(qualifiers: Qualifiers, bytes: readonly number[], span: Span): LinkAddressPrimitive {
  return { kind: 'link-address', direction: qualifiers.direction ?? 'src-or-dst', bytes, span }
}

/** `link host $0e`: the one byte that ARCNET and BACnet MS/TP stations are known by. */
function stationAddress(state: CheckState, qualifiers: Qualifiers, bytes: readonly number[], span: Span): Expression {
  requirePlainDirection(state, qualifiers)
  if (qualifiers.protocol !== 'link' || (qualifiers.type !== null && qualifiers.type !== 'host')) {
    throw fault(state, `${quoted(state, span)} is a one-byte link address; write link host before it`, span)
  }
  const { address, announces } = state.linkType
  if (announces !== 'unknown' && address !== 'station') throw notOnLinkType(state, 'one-byte address', qualifiers.span)
  return linkPrimitive(qualifiers, bytes, span)
}

function decnetAddress(state: CheckState, qualifiers: Qualifiers, value: Value): Expression {
  if (qualifiers.type === 'net') throw wrongProtocol(state, qualifiers, 'a network', 'nothing, ip, arp, rarp or ip6')
  requirePlainDirection(state, qualifiers)
  const address = value.kind === 'ipv4' ? parseDecnet(value.text) : null
  if (address === null) {
    throw fault(
      state,
      `${quoted(state, value.span)} is no DECnet address; write AREA.NODE, at most 63.1023`,
      value.span,
    )
  }
  requireCarrier(state, DECNET, value.span)
  return decnetHost(address, qualifiers.direction, value.span)
}

type Name = Value & { kind: 'name' }

function namedNetwork(state: CheckState, qualifiers: Qualifiers, { text, span }: Name): Expression {
  const found = state.options.resolver?.network?.(text)
  const address = found === undefined ? null : parseIpv4(found)
  if (!address) throw unknownName(state, 'network', text, span)
  requireNetworkProtocol(state, qualifiers, span)
  return ipv4Address(state, qualifiers, address.word, prefixMask(address.bits), span)
}

function namedHost(state: CheckState, qualifiers: Qualifiers, name: Name): Expression {
  const { protocol } = qualifiers
  if (protocol === 'link') return namedStation(state, qualifiers, name)
  if (protocol !== null && !(protocol in ADDRESS_CARRIERS))
    throw wrongProtocol(state, qualifiers, 'the name of a host', 'nothing, ip, arp, rarp or ip6')
  requirePlainDirection(state, qualifiers)
  const primitives = hostAddresses(state, name).flatMap((text) => {
    const four = protocol === 'ip6' ? null : parseIpv4(text)
    if (four) return [ipv4Address(state, qualifiers, four.word, ALL_ONES, name.span)]
    const six = protocol === null || protocol === 'ip6' ? parseIpv6(text) : null
    return six ? [ipv6Address(state, qualifiers, six, 128, name.span)] : []
  })
  if (primitives.length > 0) return join(primitives, name.span)
  throw fault(state, `the host "${name.text}" has no address that ${protocol} carries; use another protocol`, name.span)
}

function namedStation(state: CheckState, qualifiers: Qualifiers, { text, span }: Name): Expression {
  requireStationAddress(state, qualifiers)
  const found = state.options.resolver?.ethernet?.(text)
  const bytes = found === undefined ? null : parseMac(found)
  if (!bytes) throw unknownName(state, 'host with a MAC address', text, span)
  return linkPrimitive(qualifiers, bytes, span)
}

function hostAddresses(state: CheckState, { text, span }: Name): readonly string[] {
  const found = state.options.resolver?.host?.(text)
  if (!found || found.length === 0) throw unknownName(state, 'host or network', text, span)
  return found
}

function unknownName(state: CheckState, what: string, name: string, span: Span) {
  const { resolver } = state.options
  const remedy = resolver?.remedy ?? (resolver ? 'correct it, or write an address' : 'write an address')
  return fault(state, `no ${what} is called "${name}"; ${remedy}`, span)
}

function join(expressions: readonly Expression[], span: Span): Expression {
  return expressions.reduce((left, right) => ({ kind: 'or', left, right, span }))
}
