import { all, any, type Condition, compare } from '../condition.js'
import { type Carries, ETHERTYPE, type Headers, hasBytes, hasType } from '../headers.js'
import { constant, load } from '../value.js'

/** The greatest number that a length field of IEEE 802.3 holds; above, it is an EtherType. */
export const MAX_FRAME_LENGTH = 1500

/** LLC service access points that are treated on their own (libpcap's rules). */
export const LLC = { ip: 0x06, spanningTree: 0x42, snap: 0xaa, ipx: 0xe0, netbeui: 0xf0, iso: 0xfe } as const

/** A SNAP header (IEEE 802) with this organization code and protocol. */
function hasSnap({ payload }: Headers, organization: number, protocol: number): Condition {
  const bytes = [LLC.snap, LLC.snap, 0x03, organization >>> 16, (organization >>> 8) & 0xff, organization & 0xff]
  return hasBytes(payload, [...bytes, protocol >>> 8, protocol & 0xff])
}

const APPLE = 0x080007

function hasSap({ payload }: Headers, sap: number): Condition {
  return compare(load(payload, 0, 1), '=', constant(sap))
}

function hasBothSaps({ payload }: Headers, sap: number): Condition {
  return compare(load(payload, 0, 2), '=', constant((sap << 8) | sap))
}

/**
 * How a header whose type field holds an EtherType, or something that means
 * "LLC follows", carries a protocol; `isLlc` and `isNovell` say what that
 * something is.
 */
export function carriesByTypeOrLlc(
  isLlc: (headers: Headers) => Condition,
  ipxWithoutType: (headers: Headers, byLlc: Condition, bySnap: Condition) => Condition,
): Carries {
  return (headers, protocol) => {
    switch (protocol) {
      case LLC.iso:
      case LLC.ip:
      case LLC.netbeui:
        return all(isLlc(headers), hasBothSaps(headers, protocol))
      case LLC.ipx: {
        const snap = hasSnap(headers, 0, ETHERTYPE.ipx)
        return any(hasType(headers, ETHERTYPE.ipx), ipxWithoutType(headers, hasSap(headers, LLC.ipx), snap))
      }
      case ETHERTYPE.appleTalk:
        return any(hasType(headers, protocol), all(isLlc(headers), hasSnap(headers, APPLE, protocol)))
      case ETHERTYPE.appleTalkArp:
        return any(hasType(headers, protocol), all(isLlc(headers), hasSnap(headers, 0, protocol)))
    }
    if (protocol > MAX_FRAME_LENGTH) return hasType(headers, protocol)
    return all(isLlc(headers), hasSap(headers, protocol))
  }
}

/**
 * The LLC header that follows names `protocol`: by its access points, or by the
 * type of a SNAP header, of which nothing else is asked (libpcap's rules for
 * Token Ring, FDDI and IEEE 802.11).
 */
export function carriesByLlc(headers: Headers, protocol: number): Condition {
  switch (protocol) {
    case LLC.iso:
    case LLC.ip:
    case LLC.netbeui:
      return hasBothSaps(headers, protocol)
    case ETHERTYPE.appleTalk:
      return hasSnap(headers, APPLE, protocol)
  }
  if (protocol > MAX_FRAME_LENGTH) return compare(load(headers.payload, 6, 2), '=', constant(protocol))
  return hasSap(headers, protocol)
}
