import { all, type Condition, compare } from '../condition.js'
import { binary } from '../fold.js'
import { at, ETHERTYPE, type Headers, type LinkLayer } from '../headers.js'
import { constant, load, type Value } from '../value.js'
import {
  broadcomTagged,
  ethernet,
  linuxCooked,
  linuxCooked2,
  llcFrames,
  marvellTagged,
  stationsAt,
} from './ethernet.js'
import { arcnet, ipnet, loop, loopbackInEitherOrder, packetFilterLog } from './family.js'
import { always, bacnet, ethertypes, ipByVersion, onlyBytes, slip } from './fixed.js'
import { ciscoHdlc, frameRelay, ppp, pppAs, pppBsdos, pppd } from './point-to-point.js'
import { avsLength, type FramePlaces, framePlaces, littleEndianLength, prismLength, radiotapPlaces } from './radio.js'
import { wlan } from './wlan.js'

/** What is known of a packet of one link type before anything is asked. */
export interface LinkType {
  readonly headers: Headers
  /**
   * Lengths of headers that a rule computes before anything else where it needs
   * them at all: a packet cut inside them matches nothing, not even `not ip`.
   */
  readonly computedFirst: readonly Value[]
  /** What every packet must be to match anything. */
  readonly requires: Condition
}

type NamedType = [name: string, type: () => LinkType]

const PLAIN = { computedFirst: [], requires: all() }

/** The type field and the payload at fixed offsets from the start of the packet. */
function fixed(link: LinkLayer, typeAt: number, payloadAt: number, startAt = 0): NamedType {
  const headers: Headers = {
    link,
    start: at(startAt),
    type: at(typeAt),
    payload: at(payloadAt),
    labels: 0,
    isFrame: null,
  }
  const type = { headers, ...PLAIN }
  return [link.name, () => type]
}

/**
 * IEEE 802.11; `frame` and `payload` are computed from the packet. They are drawn where a rule is for this type only:
 * their keys are long enough to be hashed, and loading node:crypto for that would take every command 5 ms.
 */
function wireless(name: string, places: () => FramePlaces, requires = all()): NamedType {
  return [
    name,
    () => {
      const { frame, payload } = places()
      const place = { start: at(0, frame), type: payload, payload }
      const headers: Headers = { link: wlan(name), ...place, labels: 0, isFrame: null }
      return { headers, computedFirst: [...(frame === null ? [] : [frame]), payload.base!], requires }
    },
  ]
}

/** The length of the log's header, in its first byte, is padded to a multiple of 4. */
function packetFilter(): NamedType {
  const length = binary('&', binary('+', load(at(0), 0, 1), constant(3)), constant(0xfffffffc))
  const [name, fixedType] = fixed(packetFilterLog, 0, 0)
  const type = { ...PLAIN, headers: { ...fixedType().headers, payload: at(0, length) }, computedFirst: [length] }
  return [name, () => type]
}

/** DLT 105, IEEE 802.11, as PPI writes what it carries: little-endian. */
const carriesWireless = compare(load(at(0), 4, 4), '=', constant(0x69000000))

/** No packet is so long that anything of this type could be read of it. */
const NOWHERE = 0

/**
 * The link types that a rule can be compiled for, by tcpdump's name. Offsets
 * are those of pcap-linktype(7).
 */
export const LINK_TYPES: ReadonlyMap<string, () => LinkType> = new Map([
  fixed(ethernet, 12, 14),
  fixed({ ...ethernet, name: 'NETANALYZER', hasLlc: null }, 16, 18, 4),
  fixed({ ...ethernet, name: 'NETANALYZER_TRANSPARENT', hasLlc: null }, 24, 26, 12),
  fixed(broadcomTagged, 16, 18),
  fixed(marvellTagged, 16, 18),
  fixed(linuxCooked, 14, 16),
  fixed(linuxCooked2, 0, 20),
  fixed(ipByVersion('RAW'), NOWHERE, 0),
  fixed(always('IPV4', ETHERTYPE.ip), NOWHERE, 0),
  fixed(always('IPV6', ETHERTYPE.ip6), NOWHERE, 0),
  fixed(ppp, 2, 4),
  fixed(pppAs('PPP_SERIAL'), 2, 4),
  fixed(pppAs('PPP_ETHER'), 6, 8),
  fixed(pppd, 2, 4),
  fixed(pppBsdos, 5, 24),
  fixed(ciscoHdlc, 2, 4),
  fixed(frameRelay, NOWHERE, 0),
  fixed(loopbackInEitherOrder('NULL'), 0, 4),
  fixed(loopbackInEitherOrder('ENC'), 0, 12),
  fixed(loop, 0, 4),
  fixed(slip, NOWHERE, 16),
  fixed(ipByVersion('SLIP_BSDOS'), NOWHERE, 24),
  wireless('IEEE802_11', () => framePlaces(null)),
  wireless('IEEE802_11_RADIO', radiotapPlaces),
  wireless('IEEE802_11_RADIO_AVS', () => framePlaces(avsLength())),
  wireless('PRISM_HEADER', () => framePlaces(prismLength())),
  wireless('PPI', () => framePlaces(littleEndianLength()), carriesWireless),
  fixed(llcFrames('FDDI', stationsAt(7, 1)), 13, 13),
  fixed(llcFrames('IEEE802', stationsAt(8, 2)), 14, 14),
  fixed(llcFrames('IP_OVER_FC', stationsAt(10, 2)), 16, 16),
  fixed(llcFrames('ATM_RFC1483', null), 0, 0),
  fixed(llcFrames('ATM_CLIP', null), 0, 0),
  fixed(arcnet('ARCNET'), 2, 6),
  fixed(arcnet('ARCNET_LINUX'), 4, 8),
  fixed(ethertypes('APPLE_IP_OVER_IEEE1394'), 16, 18),
  fixed(ethertypes('SYMANTEC_FIREWALL'), 6, 44),
  fixed(ipnet, 1, 24),
  fixed(always('LTALK', ETHERTYPE.appleTalk), NOWHERE, 0),
  packetFilter(),
  fixed(bacnet, NOWHERE, 0),
  fixed(onlyBytes('IEEE802_15_4'), NOWHERE, 0),
  fixed(onlyBytes('IEEE802_15_4_NOFCS'), NOWHERE, 0),
  fixed(onlyBytes('IEEE802_15_4_TAP'), NOWHERE, 0),
  fixed(onlyBytes('MFR'), NOWHERE, 0),
])
