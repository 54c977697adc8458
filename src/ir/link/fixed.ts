import { all, any, compare, matchesMask } from '../condition.js'
import { ETHERTYPE, hasType, type LinkLayer, linkLayer } from '../headers.js'
import { constant, load } from '../value.js'
import { stationsAt } from './ethernet.js'

/** IPv4 or IPv6 by the version in the first byte, which libpcap also asks where another header stands there. */
export function ipByVersion(name: string): LinkLayer {
  return linkLayer({
    name,
    carries({ start }, protocol) {
      const version = protocol === ETHERTYPE.ip ? 4 : protocol === ETHERTYPE.ip6 ? 6 : null
      return version === null ? any() : matchesMask(load(start, 0, 1), 0xf0, version << 4)
    },
  })
}

/** SLIP as BSD captures it: 0 (in) or 1 (out) in the first of 16 bytes. */
export const slip: LinkLayer = {
  ...ipByVersion('SLIP'),
  hasDirection: ({ start }, direction) => compare(load(start, 0, 1), '=', constant(direction === 'outbound' ? 1 : 0)),
}

/** Packets of one protocol, with nothing before them. */
export function always(name: string, type: number): LinkLayer {
  return linkLayer({ name, carries: (_, protocol) => (protocol === type ? all() : any()) })
}

/** EtherTypes alone. */
export function ethertypes(name: string): LinkLayer {
  return linkLayer({ name, carries: hasType })
}

/** A link type of which only bytes and the length can be asked: it says of no protocol that it carries it. */
export function onlyBytes(name: string): LinkLayer {
  return linkLayer({ name, carries: null })
}

/** BACnet MS/TP: one byte of destination, one of source behind it, of which 255 is all. */
export const bacnet: LinkLayer = {
  ...onlyBytes('BACNET_MS_TP'),
  stations: stationsAt(4, 3, { broadcast: [0xff], hasGroupBit: false }),
}
