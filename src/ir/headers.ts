import { all, any, type Condition, compare, matchesMask, not } from './condition.js'
import { constant, load, type Place, type Value } from './value.js'

/**
 * Where the headers lie at one point of the expression's text. `vlan`, `mpls`
 * and `pppoes` give all that stands behind them in the text a new one, also
 * across `or` (pcap-filter(7)).
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
}

/** One kind of link header: where its fields lie, and how it names what it carries. */
export interface LinkLayer {
  /** As `tcpdump -y` names it. */
  readonly name: string
  /** Place of the source and destination address of 6 bytes, from `start`; null where there is none. */
  readonly addresses: { readonly source: number; readonly destination: number } | null
  /** The type that announces MPLS; null where MPLS cannot stand there. */
  readonly mplsType: number | null
  /** True where VLAN tags can stand before the type. */
  readonly tagged: boolean
  /** The header carries `protocol`: an EtherType, or an LLC DSAP up to 1500. */
  carries(headers: Headers, protocol: number): Condition
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
} as const

/** The greatest length that the type field of an IEEE 802.3 frame can hold; above, it is an EtherType. */
const MAX_FRAME_LENGTH = 1500
const VLAN_TAG_BYTES = 4
const MPLS_LABEL_BYTES = 4
const PPPOE_HEADER_BYTES = 6

/** LLC service access points that Ethernet treats on their own (libpcap's rules). */
const LLC = { ip: 0x06, spanningTree: 0x42, snap: 0xaa, ipx: 0xe0, netbeui: 0xf0, iso: 0xfe } as const

/** The type field is an IEEE 802.3 length, so an LLC header follows. */
export function hasLength(headers: Headers): Condition {
  return not(compare(load(headers.type, 0, 2), '>', constant(MAX_FRAME_LENGTH)))
}

/** A SNAP header (IEEE 802) with this organization code and protocol. */
function hasSnap(headers: Headers, organization: number, protocol: number): Condition {
  const bytes = [LLC.snap, LLC.snap, 0x03, organization >>> 16, (organization >>> 8) & 0xff, organization & 0xff]
  return hasBytes(headers.payload, [...bytes, protocol >>> 8, protocol & 0xff])
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

const ethernet: LinkLayer = {
  name: 'EN10MB',
  addresses: { source: 6, destination: 0 },
  mplsType: ETHERTYPE.mpls,
  tagged: true,
  carries(headers, protocol) {
    const isType = (type: number) => compare(load(headers.type, 0, 2), '=', constant(type))
    const dsapAndSsap = (sap: number) => compare(load(headers.payload, 0, 2), '=', constant((sap << 8) | sap))
    switch (protocol) {
      case LLC.iso:
      case LLC.ip:
      case LLC.netbeui:
        return all(hasLength(headers), dsapAndSsap(protocol))
      case LLC.ipx:
        return any(isType(ETHERTYPE.ipx), all(hasLength(headers), carriesRawIpx(headers)))
      case ETHERTYPE.appleTalk:
        return any(isType(protocol), all(hasLength(headers), hasSnap(headers, 0x080007, protocol)))
      case ETHERTYPE.appleTalkArp:
        return any(isType(protocol), all(hasLength(headers), hasSnap(headers, 0, protocol)))
    }
    if (protocol > MAX_FRAME_LENGTH) return isType(protocol)
    return all(hasLength(headers), compare(load(headers.type, 2, 1), '=', constant(protocol)))
  },
}

/** IPX behind SNAP, behind its own LLC access point, or bare (Novell's 802.3 frames start with 0xffff). */
function carriesRawIpx(headers: Headers): Condition {
  return any(
    hasSnap(headers, 0, ETHERTYPE.ipx),
    compare(load(headers.payload, 0, 1), '=', constant(LLC.ipx)),
    compare(load(headers.payload, 0, 2), '=', constant(0xffff)),
  )
}

/** PPP protocol numbers (RFC 1661 and its registry) of what EtherTypes and access points name. */
const PPP_PROTOCOL: ReadonlyMap<number, number> = new Map([
  [ETHERTYPE.ip, 0x0021],
  [0x0600, 0x0025],
  [0x6003, 0x0027],
  [ETHERTYPE.appleTalk, 0x0029],
  [ETHERTYPE.ip6, 0x0057],
  [LLC.iso, 0x0023],
  [LLC.spanningTree, 0x0031],
  [LLC.ipx, 0x002b],
])

/** PPP without HDLC framing, as PPPoE carries it. */
const ppp: LinkLayer = {
  name: 'PPP',
  addresses: null,
  mplsType: 0x0281,
  tagged: false,
  carries(headers, protocol) {
    return compare(load(headers.type, 0, 2), '=', constant(PPP_PROTOCOL.get(protocol) ?? protocol))
  },
}

const at = (offset: number, base: Value | null = null): Place => ({ base, offset })

/** The link types that a rule can be compiled for, by tcpdump's name: where their headers start. */
export const LINK_TYPES: ReadonlyMap<string, Headers> = new Map([
  ['EN10MB', { link: ethernet, start: at(0), type: at(12), payload: at(14), labels: 0 }],
])

/** Where the network header would lie: behind the link header and all MPLS labels. */
export function networkOf(headers: Headers): Place {
  return moved(headers.payload, headers.labels * MPLS_LABEL_BYTES)
}

/** Behind one VLAN tag (IEEE 802.1Q): the type field moves with the payload. */
export function behindVlan(headers: Headers): Headers {
  return {
    ...headers,
    type: moved(headers.type, VLAN_TAG_BYTES),
    payload: moved(headers.payload, VLAN_TAG_BYTES),
  }
}

/** Behind one MPLS label (RFC 3032). */
export function behindLabel(headers: Headers): Headers {
  return { ...headers, labels: headers.labels + 1 }
}

/** Behind a PPPoE session header (RFC 2516, section 4): a PPP frame. */
export function behindPppoe(headers: Headers): Headers {
  const start = moved(networkOf(headers), PPPOE_HEADER_BYTES)
  return { link: ppp, start, type: start, payload: moved(start, 2), labels: 0 }
}

function moved(place: Place, by: number): Place {
  return { base: place.base, offset: place.offset + by }
}

/** The last label of the stack has been passed: its bottom-of-stack bit is set (RFC 3032, section 2.1). */
export function atBottomOfStack(headers: Headers): Condition {
  return matchesMask(load(networkOf(headers), -2, 1), 1, 1)
}
