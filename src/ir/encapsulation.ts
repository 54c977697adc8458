import type { EncapsulationPrimitive, Span } from '../filter/index.js'
import { all, any, type Condition, compare, matchesMask, not } from './condition.js'
import { UnsupportedError } from './errors.js'
import { atBottomOfStack, ETHERTYPE, type Headers, moved, networkOf } from './headers.js'
import { ppp } from './link/point-to-point.js'
import { carries } from './network.js'
import { lowerTunnel } from './tunnel.js'
import { constant, load } from './value.js'

/** What an encapsulation asks, and where the headers lie for all that stands behind it in the text. */
export interface Encapsulated {
  readonly condition: Condition
  readonly headers: Headers
}

const VLAN_TAG_BYTES = 4
const PPPOE_HEADER_BYTES = 6

/** `vlan`, `mpls`, `pppoed`, `pppoes`, `geneve`, `vxlan`. */
export function lowerEncapsulation(primitive: EncapsulationPrimitive, headers: Headers): Encapsulated {
  const { type, id, span } = primitive
  switch (type) {
    case 'vlan':
      return lowerVlan(id, headers, span)
    case 'mpls':
      return lowerMpls(id, headers, span)
    case 'pppoed':
      return { condition: carries(headers, ETHERTYPE.pppoeDiscovery, span), headers }
    case 'pppoes':
      return lowerPppoe(id, headers, span)
    case 'geneve':
    case 'vxlan':
      return lowerTunnel({ ...primitive, type }, headers)
  }
}

/** IEEE 802.1Q, 802.1ad, and the type that older switches gave a second tag. Type field and payload move. */
function lowerVlan(id: number | null, headers: Headers, span: Span): Encapsulated {
  if (headers.labels > 0) throw new UnsupportedError('a VLAN tag cannot stand behind MPLS; put vlan first', span)
  if (!headers.link.isTagged) throw new UnsupportedError(`${headers.link.name} frames have no VLAN tags`, span)
  const types = [ETHERTYPE.vlan, ETHERTYPE.serviceVlan, ETHERTYPE.oldVlan]
  const isTagged = any(...types.map((type) => carries(headers, type, span)))
  const hasId = id === null ? all() : matchesMask(load(networkOf(headers), 0, 2), 0x0fff, id)
  const behind = {
    ...headers,
    type: moved(headers.type, VLAN_TAG_BYTES),
    payload: moved(headers.payload, VLAN_TAG_BYTES),
  }
  return { condition: all(isTagged, hasId), headers: behind }
}

/** RFC 3032: 20 bits of label, then the traffic class, the bottom-of-stack bit and a lifetime. */
function lowerMpls(id: number | null, headers: Headers, span: Span): Encapsulated {
  const { mplsType, name } = headers.link
  if (mplsType === null) throw new UnsupportedError(`${name} frames carry no MPLS labels`, span)
  const follows = headers.labels > 0 ? not(atBottomOfStack(headers)) : carries(headers, mplsType, span)
  const hasLabel = id === null ? all() : matchesMask(load(networkOf(headers), 0, 4), 0xffff_f000, (id << 12) >>> 0)
  return { condition: all(follows, hasLabel), headers: { ...headers, labels: headers.labels + 1 } }
}

/** A PPPoE session (RFC 2516, section 4): behind 6 bytes a PPP frame without HDLC framing. */
function lowerPppoe(id: number | null, headers: Headers, span: Span): Encapsulated {
  const isSession = carries(headers, ETHERTYPE.pppoeSession, span)
  const hasId = id === null ? all() : compare(load(networkOf(headers), 2, 2), '=', constant(id))
  const start = moved(networkOf(headers), PPPOE_HEADER_BYTES)
  const behind = { link: ppp, start, type: start, payload: moved(start, 2), labels: 0, isFrame: null }
  return { condition: all(isSession, hasId), headers: behind }
}
