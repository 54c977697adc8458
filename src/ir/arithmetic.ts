import type { AccessBase, Arithmetic, PacketValue, RelationPrimitive, Span } from '../filter/index.js'
import { all, type Condition, compare } from './condition.js'
import { UnsupportedError } from './errors.js'
import { binary, normalizePlace } from './fold.js'
import { ETHERTYPE, type Headers, networkOf } from './headers.js'
import { carries } from './network.js'
import { behindIpv4, behindIpv6, IP_PROTOCOL, startsInIpv4, startsInIpv6 } from './transport.js'
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
  return all(...second.guards, ...first.guards, compare(first.value, operator, second.value))
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
  const header = headerOf(base, headers, span)
  const index = lowerValue(offset, headers)
  const place = normalizePlace(displaced(header.place, index.value))
  const guards = header.guard === null ? index.guards : [...index.guards, header.guard]
  return { value: load(place, 0, size), guards }
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
}

/** Where an access such as `tcp[…]` counts from, and what the packet must be. */
function headerOf(base: AccessBase, headers: Headers, span: Span): { place: Place; guard: Condition | null } {
  const type = LINK_BASES[base]
  if (type !== undefined) return { place: networkOf(headers), guard: carries(headers, type, span) }
  switch (base) {
    case 'link':
      return { place: headers.start, guard: null }
    case 'icmp6':
      return { place: behindIpv6(headers), guard: startsInIpv6(headers, IP_PROTOCOL.icmp6, span) }
    case 'tcp':
    case 'udp':
    case 'sctp':
    case 'icmp':
    case 'igmp':
    case 'igrp':
    case 'pim':
    case 'vrrp':
    case 'carp':
      return { place: behindIpv4(headers), guard: startsInIpv4(headers, IP_PROTOCOL[base], span) }
    default:
      throw new UnsupportedError(`${headers.link.name} frames have no ${base} header; leave this out`, span)
  }
}
