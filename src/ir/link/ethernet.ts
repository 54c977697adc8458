import { all, any, type Condition, compare, matchesMask, not } from '../condition.js'
import { eitherSide } from '../direction.js'
import { ETHERTYPE, type Headers, hasType, type LinkLayer, linkLayer, moved, type Stations } from '../headers.js'
import { constant, load } from '../value.js'
import { carriesByLlc, carriesByTypeOrLlc, MAX_FRAME_LENGTH } from './llc.js'

const ALL_STATIONS = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] as const

/** Station addresses at fixed offsets from the start of the link header; of 6 bytes unless `other` says otherwise. */
export function stationsAt(source: number, destination: number, other: Partial<Stations> = {}): Stations {
  return {
    broadcast: ALL_STATIONS,
    hasGroupBit: true,
    find: ({ start }, direction, span, matches) =>
      eitherSide(direction, span, source, destination, (offset) => matches(moved(start, offset))),
    ...other,
  }
}

/** The type field is an IEEE 802.3 length, so an LLC header follows. */
function hasLength(headers: Headers): Condition {
  return not(compare(load(headers.type, 0, 2), '>', constant(MAX_FRAME_LENGTH)))
}

/** 0xffff where an LLC header would start is Novell's raw IPX. */
function isNovell(headers: Headers): Condition {
  return compare(load(headers.payload, 0, 2), '=', constant(0xffff))
}

/** Ethernet II and IEEE 802.3. */
export const ethernet: LinkLayer = linkLayer({
  name: 'EN10MB',
  llcBytes: 3,
  stations: stationsAt(6, 0),
  mplsType: ETHERTYPE.mpls,
  isTagged: true,
  hasLlc: (headers) => all(hasLength(headers), not(isNovell(headers))),
  carries: carriesByTypeOrLlc(hasLength, (headers, byLlc, bySnap) =>
    all(hasLength(headers), any(bySnap, byLlc, isNovell(headers))),
  ),
})

const DSA_TAG = 12

/** Ethernet with Broadcom's switch tag before the type; the top 3 bits tell the operation: 1 is to the switch. */
export const broadcomTagged: LinkLayer = {
  ...ethernet,
  name: 'DSA_TAG_BRCM',
  hasDirection: ({ start }, direction) =>
    matchesMask(load(start, DSA_TAG, 1), 0xe0, direction === 'outbound' ? 0x20 : 0x00),
}

/** Ethernet with Marvell's switch tag before the type; the top 2 bits tell the mode: 1 is from the CPU. */
export const marvellTagged: LinkLayer = {
  ...ethernet,
  name: 'DSA_TAG_DSA',
  hasDirection({ start }, direction) {
    const tag = load(start, DSA_TAG, 1)
    return direction === 'outbound' ? matchesMask(tag, 0xc0, 0x40) : matchesMask(tag, 0x40, 0x00)
  },
}

/** FDDI, Token Ring and others whose frames always hold an LLC header (RFC 1042). */
export function llcFrames(name: string, stations: Stations | null): LinkLayer {
  return linkLayer({ name, snapBytes: 8, llcBytes: 3, stations, hasLlc: () => all(), carries: carriesByLlc })
}

/** In the type field of a Linux cooked header: Novell's raw IPX, and an LLC header (linux/if_ether.h). */
const ETH_P_802_3 = 0x0001
const ETH_P_802_2 = 0x0004
/** `sll_pkttype` of a packet that this machine sent (linux/if_packet.h). */
const PACKET_OUTGOING = 4

/** Linux cooked capture, version 1 (LINKTYPE_LINUX_SLL). */
export const linuxCooked: LinkLayer = linkLayer({
  name: 'LINUX_SLL',
  hasDirection: ({ start }, direction) => sent(compare(load(start, 0, 2), '=', constant(PACKET_OUTGOING)), direction),
  carries: carriesByTypeOrLlc(
    (headers) => hasType(headers, ETH_P_802_2),
    (headers, byLlc, bySnap) =>
      any(hasType(headers, ETH_P_802_3), all(hasType(headers, ETH_P_802_2), any(byLlc, bySnap))),
  ),
})

/** Linux cooked capture, version 2 (LINKTYPE_LINUX_SLL2), which libpcap asks for EtherTypes alone. */
export const linuxCooked2: LinkLayer = linkLayer({
  name: 'LINUX_SLL2',
  hasDirection: ({ start }, direction) => sent(compare(load(start, 10, 1), '=', constant(PACKET_OUTGOING)), direction),
  hasInterface: ({ start }, index) => compare(load(start, 4, 4), '=', constant(index)),
  carries: hasType,
})

function sent(isOutgoing: Condition, direction: 'inbound' | 'outbound'): Condition {
  return direction === 'outbound' ? isOutgoing : not(isOutgoing)
}
