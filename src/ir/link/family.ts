import { any, type Condition, compare } from '../condition.js'
import { ETHERTYPE, hasBytes, type LinkLayer, linkLayer, moved } from '../headers.js'
import { constant, load } from '../value.js'
import { stationsAt } from './ethernet.js'

/** Address family of IPv4, the same in every BSD and in Linux. */
const AF_INET = 2
/** Of IPv6 in OpenBSD and NetBSD, in FreeBSD, and in macOS. */
const AF_INET6 = [24, 28, 30] as const

function familiesOf(protocol: number): readonly number[] {
  if (protocol === ETHERTYPE.ip) return [AF_INET]
  return protocol === ETHERTYPE.ip6 ? AF_INET6 : []
}

/** Loopback of BSD: the family as 4 bytes, in the byte order of the machine that captured, so in either. */
export function loopbackInEitherOrder(name: string): LinkLayer {
  return linkLayer({
    name,
    carries({ start }, protocol) {
      const families = familiesOf(protocol)
      const words = [...families.map((family) => family << 24), ...families]
      return any(...words.map((word) => compare(load(start, 0, 4), '=', constant(word))))
    },
  })
}

/** Loopback of OpenBSD: the same in network byte order. */
export const loop: LinkLayer = linkLayer({
  name: 'LOOP',
  carries: ({ start }, protocol) =>
    any(...familiesOf(protocol).map((family) => compare(load(start, 0, 4), '=', constant(family)))),
})

/** The header of the BSD packet filter's log (OpenBSD net/if_pflog.h): offsets of its fields. */
const PFLOG = { family: 1, action: 2, reason: 3, ifname: 4, rset: 20, rnr: 36, srnr: 40, direction: 60 } as const

/** Log of the BSD packet filter. */
export const packetFilterLog: LinkLayer = linkLayer({
  name: 'PFLOG',
  carries: ({ start }, protocol) =>
    any(...familiesOf(protocol).map((family) => compare(load(start, PFLOG.family, 1), '=', constant(family)))),
  hasDirection: ({ start }, direction) =>
    compare(load(start, PFLOG.direction, 1), '=', constant(direction === 'outbound' ? 2 : 1)),
  hasLogField({ start }, field, value) {
    if (typeof value === 'string') return hasBytes(moved(start, PFLOG[field]), [...Buffer.from(value)])
    const size = field === 'rnr' || field === 'srnr' ? 4 : 1
    return compare(load(start, PFLOG[field], size), '=', constant(value))
  },
})

/** Solaris IP observability: its own numbers of the families. */
export const ipnet: LinkLayer = linkLayer({
  name: 'IPNET',
  carries({ start }, protocol) {
    const families = protocol === ETHERTYPE.ip ? [2] : protocol === ETHERTYPE.ip6 ? [26] : []
    return any(...families.map((family) => compare(load(start, 1, 1), '=', constant(family))))
  },
  hasDirection: ({ start }, direction) => compare(load(start, 2, 2), '=', constant(direction === 'outbound' ? 1 : 2)),
})

/** System codes of ARCNET (RFC 1201, and its number registry). */
const ARCNET_CODE: ReadonlyMap<number, number> = new Map([
  [ETHERTYPE.ip, 212],
  [ETHERTYPE.arp, 213],
  [ETHERTYPE.rarp, 214],
  [ETHERTYPE.ip6, 196],
  [ETHERTYPE.appleTalk, 221],
])

/** ARCNET: one byte of source, one of destination, of which 0 is all. */
export function arcnet(name: string): LinkLayer {
  return linkLayer({
    name,
    stations: stationsAt(0, 1, { broadcast: [0], hasGroupBit: false }),
    carries(headers, protocol): Condition {
      const code = ARCNET_CODE.get(protocol)
      return code === undefined ? any() : compare(load(headers.type, 0, 1), '=', constant(code))
    },
  })
}
