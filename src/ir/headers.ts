import type { Direction, PacketFilterPrimitive, Span } from '../filter/index.js'
import { all, type Condition, compare, matchesMask } from './condition.js'
import { constant, load, type Place, type Value } from './value.js'

/**
 * Where the headers lie at one point of the expression's text. `vlan`, `mpls`,
 * `pppoes`, `geneve` and `vxlan` give all that stands behind them in the text a
 * new one, also across `or` (pcap-filter(7)).
 */
export interface Headers {
  readonly link: LinkLayer
  /** Start of the innermost link header. */
  readonly start: Place
  /** Its type field. */
  readonly type: Place
  /** What follows the link header: an LLC header, MPLS labels or the network header. */
  readonly payload: Place
  /** Depth of MPLS labels passed, 4 bytes each, before the network header. */
  readonly labels: number
  /** Inside a tunnel that can also carry packets without a link header: it carries a frame. Null elsewhere. */
  readonly isFrame: Condition | null
}

/** One kind of link header: where its fields lie, and how it names what it carries. */
export interface LinkLayer {
  /** As `tcpdump -y` names it. */
  readonly name: string
  /** Bytes of LLC and SNAP header between the link header and the network header (RFC 1042). */
  readonly snapBytes: number
  /** Bytes of LLC header before an ISO network header, which needs no SNAP. */
  readonly llcBytes: number
  /** The header carries `protocol`, an EtherType or an LLC DSAP up to 1500; null where it does not tell. */
  readonly carries: Carries | null
  /** An ISO network header with this protocol identifier follows; null: the access point and its first byte tell. */
  readonly namesIso: ((headers: Headers, identifier: number) => Condition) | null
  /** The addresses of stations in the header; null where there are none. */
  readonly stations: Stations | null
  /** The type that announces MPLS; null where MPLS cannot stand there. */
  readonly mplsType: number | null
  /** True where VLAN tags can stand before the type. */
  readonly isTagged: boolean
  /** An LLC header follows; null where none can. */
  readonly hasLlc: ((headers: Headers) => Condition) | null
  /** The packet was going this way; null where the header does not tell. */
  readonly hasDirection: ((headers: Headers, direction: 'inbound' | 'outbound') => Condition) | null
  /** The packet crossed the device of this number; null where the header does not tell. */
  readonly hasInterface: ((headers: Headers, index: number) => Condition) | null
  /** The log entry of a packet filter says this; null where there is no such entry. */
  readonly hasLogField:
    | ((headers: Headers, field: PacketFilterPrimitive['field'], value: string | number) => Condition)
    | null
}

export type Carries = (headers: Headers, protocol: number) => Condition

/** Addresses of stations in a link header. */
export interface Stations {
  /** The address of all stations. */
  readonly broadcast: readonly number[]
  /** True where the lowest bit of the first byte tells a group (IEEE 802); otherwise broadcast is the one group. */
  readonly hasGroupBit: boolean
  /** Applies `matches` to the address fields that `direction` asks for. */
  find(headers: Headers, direction: Direction, span: Span, matches: (place: Place) => Condition): Condition
}

export const ETHERTYPE = {
  ip: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  vlan: 0x8100,
  appleTalk: 0x809b,
  appleTalkArp: 0x80f3,
  ipx: 0x8137,
  ip6: 0x86dd,
  mpls: 0x8847,
  pppoeDiscovery: 0x8863,
  pppoeSession: 0x8864,
  serviceVlan: 0x88a8,
  oldVlan: 0x9100,
  /** Transparent Ethernet bridging: a whole frame follows. */
  bridgedEthernet: 0x6558,
} as const

const MPLS_LABEL_BYTES = 4

/** A link layer that has nothing but what is named. */
export function linkLayer(layer: Pick<LinkLayer, 'name' | 'carries'> & Partial<LinkLayer>): LinkLayer {
  return {
    snapBytes: 0,
    llcBytes: 0,
    namesIso: null,
    stations: null,
    mplsType: null,
    isTagged: false,
    hasLlc: null,
    hasDirection: null,
    hasInterface: null,
    hasLogField: null,
    ...layer,
  }
}

/** `delta` bytes behind `base`, or behind the packet's start. */
export function at(delta: number, base: Value | null = null): Place {
  return { base, offset: delta }
}

/** The place `by` bytes behind `place`. */
export function moved(place: Place, by: number): Place {
  return { base: place.base, offset: place.offset + by }
}

/** Where the network header would lie: behind the link header, LLC and SNAP, and all MPLS labels. */
export function networkOf({ link, payload, labels }: Headers): Place {
  return moved(payload, link.snapBytes + labels * MPLS_LABEL_BYTES)
}

/** Where an ISO network header (CLNP, ES-IS, IS-IS) would lie, which follows an LLC header without SNAP. */
export function isoNetworkOf({ link, payload, labels }: Headers): Place {
  return moved(payload, link.llcBytes + labels * MPLS_LABEL_BYTES)
}

/** The last label of the stack has been passed: its bottom-of-stack bit is set (RFC 3032, section 2.1). */
export function atBottomOfStack(headers: Headers): Condition {
  return matchesMask(load(networkOf(headers), -2, 1), 1, 1)
}

/** The type field of the link header, 16 bits, is `type`. */
export function hasType(headers: Headers, type: number): Condition {
  return compare(load(headers.type, 0, 2), '=', constant(type))
}

/** `bytes` stand at `place`; compared from the end in the largest pieces, as libpcap does. */
export function hasBytes(place: Place, bytes: readonly number[]): Condition {
  const parts: Condition[] = []
  let end = bytes.length
  for (const size of [4, 2, 1] as const) {
    for (; end >= size; end -= size) {
      const wanted = bytes.slice(end - size, end).reduce((number, byte) => number * 256 + byte, 0)
      parts.push(compare(load(place, end - size, size), '=', constant(wanted)))
    }
  }
  return all(...parts)
}
