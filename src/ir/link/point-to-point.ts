import { any, type Condition, compare } from '../condition.js'
import { type Carries, ETHERTYPE, type Headers, hasType, type LinkLayer, linkLayer } from '../headers.js'
import { constant, load } from '../value.js'
import { LLC } from './llc.js'

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

/** Van Jacobson's compressed and uncompressed TCP/IP (RFC 1144), which BSD/OS wrote for IP. */
const PPP_COMPRESSED = [0x002d, 0x002f] as const

const byPppProtocol: Carries = (headers, protocol) => hasType(headers, PPP_PROTOCOL.get(protocol) ?? protocol)

/** PPP; its type field is the protocol number. */
export const ppp: LinkLayer = linkLayer({ name: 'PPP', mplsType: 0x0281, carries: byPppProtocol })

/** PPP without MPLS, under another name. */
export function pppAs(name: string): LinkLayer {
  return linkLayer({ name, carries: byPppProtocol })
}

/** PPP of pppd, with 0 (in) or 1 (out) in the place of HDLC's address byte. */
export const pppd: LinkLayer = {
  ...pppAs('PPP_PPPD'),
  hasDirection: ({ start }, direction) => compare(load(start, 0, 1), '=', constant(direction === 'outbound' ? 1 : 0)),
}

/** PPP of BSD/OS. */
export const pppBsdos: LinkLayer = linkLayer({
  name: 'PPP_BSDOS',
  carries(headers, protocol) {
    const isPlain = byPppProtocol(headers, protocol)
    if (protocol !== ETHERTYPE.ip) return isPlain
    return any(isPlain, ...PPP_COMPRESSED.map((number) => hasType(headers, number)))
  },
})

/** Cisco HDLC: EtherTypes, and both access points of ISO protocols in the type field. */
export const ciscoHdlc: LinkLayer = linkLayer({
  name: 'C_HDLC',
  mplsType: ETHERTYPE.mpls,
  // One byte of padding stands before ISO headers.
  llcBytes: 1,
  carries: (headers, protocol) => hasType(headers, protocol === LLC.iso ? 0xfefe : protocol),
})

/** Network layer protocol identifiers (ISO/IEC TR 9577) of CLNP, ES-IS and IS-IS. */
const ISO_PROTOCOLS = [0x81, 0x82, 0x83] as const

/** Unnumbered information with this protocol identifier, behind an address of 2 bytes (RFC 2427). */
function hasIdentifier({ start }: Headers, identifier: number): Condition {
  return compare(load(start, 2, 2), '=', constant((0x03 << 8) | identifier))
}

/** Frame Relay. */
export const frameRelay: LinkLayer = linkLayer({
  name: 'FRELAY',
  carries(headers, protocol) {
    switch (protocol) {
      case ETHERTYPE.ip:
        return hasIdentifier(headers, 0xcc)
      case ETHERTYPE.ip6:
        return hasIdentifier(headers, 0x8e)
      case LLC.iso:
        return any(...ISO_PROTOCOLS.map((identifier) => hasIdentifier(headers, identifier)))
      default:
        return any()
    }
  },
  namesIso: hasIdentifier,
})
