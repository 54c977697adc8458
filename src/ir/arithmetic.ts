import type { AccessBase, Arithmetic, PacketValue, RelationPrimitive, Span } from '../filter/index.js'
import { all, type Condition, compare } from './condition.js'
import { UnsupportedError } from './errors.js'
import { binary, normalizePlace } from './fold.js'
import { ETHERTYPE, type Headers, networkOf } from './headers.js'
import { carries } from './network.js'
import { behindIpv4, behindIpv6, IP_PROTOCOL, ipv4Names, ipv6Names, isFirstFragment } from './transport.js'
import { constant, load, type Place, type Value, wireLength } from './value.js'

/** A value and the conditions under which it means what was asked. */
interface Guarded {
  readonly value: Value
  readonly guards: readonly Condition[]
}

/** `tcp[13] & 2 != 0`: false where a guard is, as `tcp[13]` says nothing about a UDP packet. */
export function lowerRelation({ operator, left, right }: RelationPrimitive, headers: Headers): Condition {
  const first = lowerValue(left, headers)
  const second = lowerValue(right, headers)
  return all(...first.guards, ...second.guards, compare(first.value, operator, second.value))
}

function lowerValue(arithmetic: Arithmetic, headers: Headers): Guarded {
  switch (arithmetic.kind) {
    case 'constant':
      return { value: constant(arithmetic.value), guards: [] }
    case 'length':
      return { value: wireLength(), guards: [] }
    case 'negate': {
      const { value, guards } = lowerValue(arithmetic.operand, headers)
      return { value: binary('-', constant(0), value), guards }
    }
    case 'binary': {
      const left = lowerValue(arithmetic.left, headers)
      const right = lowerValue(arithmetic.right, headers)
      // As libpcap has it, the guards of the right operand are not asked: in
      // `ip[2:2] - tcp[12]` the packet need not be TCP.
      return { value: binary(arithmetic.operator, left.value, right.value), guards: left.guards }
    }
    case 'packet':
      return lowerAccess(arithmetic, headers)
  }
}

function lowerAccess({ base, offset, size, span }: PacketValue, headers: Headers): Guarded {
  const { place, before, after } = headerOf(base, headers, span)
  const index = lowerValue(offset, headers)
  const value = load(normalizePlace(displaced(place, index.value)), 0, size)
  return { value, guards: [...before, ...index.guards, ...after] }
}

function displaced({ base, offset }: Place, by: Value): Place {
  if (by.kind === 'constant') return { base, offset: (offset + by.value) >>> 0 }
  return { base: base === null ? by : binary('+', by, base), offset }
}

/** EtherTypes of the bases that the link header announces. */
const LINK_BASES: Partial<Record<AccessBase, number>> = {
  ip: ETHERTYPE.ip,
  ip6: ETHERTYPE.ip6,
  arp: ETHERTYPE.arp,
  rarp: ETHERTYPE.rarp,
  mopdl: 0x6001,
  moprc: 0x6002,
  decnet: 0x6003,
  lat: 0x6004,
  sca: 0x6007,
  atalk: ETHERTYPE.appleTalk,
}

/** Where an access such as `tcp[…]` counts from, and what the packet must be, around what its index asks. */
interface Header {
  readonly place: Place
  readonly before: readonly Condition[]
  readonly after: readonly Condition[]
}

function headerOf(base: AccessBase, headers: Headers, span: Span): Header {
  const type = LINK_BASES[base]
  if (type !== undefined) return { place: networkOf(headers), before: [], after: [carries(headers, type, span)] }
  switch (base) {
    case 'link':
      return { place: headers.start, before: [], after: [] }
    case 'radio':
      return { place: { base: null, offset: 0 }, before: [], after: [] }
    case 'icmp6': {
      const isIcmp6 = all(carries(headers, ETHERTYPE.ip6, span), ipv6Names(headers, IP_PROTOCOL.icmp6))
      return { place: behindIpv6(headers), before: [], after: [isIcmp6] }
    }
    case 'tcp':
    case 'udp':
    case 'sctp':
    case 'icmp':
    case 'igmp':
    case 'igrp':
    case 'pim':
    case 'vrrp':
    case 'carp': {
      const starts = all(ipv4Names(headers, IP_PROTOCOL[base]), isFirstFragment(headers))
      return { place: behindIpv4(headers), before: [carries(headers, ETHERTYPE.ip, span)], after: [starts] }
    }
    default:
      throw new UnsupportedError(`${headers.link.name} frames have no ${base} header; leave this out`, span)
  }
}
