import {
  METADATA_BYTES,
  METADATA_HAS_FLOW,
  METADATA_HASH,
  METADATA_TYPE,
  METADATA_VALID,
  TYPE_ARP,
  TYPE_EXTENDED,
  TYPE_FRAGMENT,
  TYPE_ICMP,
  TYPE_IPV4,
  TYPE_IPV6,
  TYPE_MOST_TAGS,
  TYPE_TAG,
  TYPE_TCP,
  TYPE_UDP,
} from '../memory/formats'
import { address6, mix, portsAt } from '../wire/flow-hash.inline.as'

/** EtherTypes as a little-endian machine reads them. */
const ETHERTYPE_IPV4: u32 = 0x0008
const ETHERTYPE_IPV6: u32 = 0xdd86
const ETHERTYPE_ARP: u32 = 0x0608
const ETHERTYPE_TAG: u32 = 0x0081
const ETHERTYPE_OUTER_TAG: u32 = 0xa888
const IS_FRAGMENT: u32 = 0xff3f
const FRAGMENT: u32 = 44

/** Reads the headers of a packet of `length` bytes, and writes type and flow hash into its metadata; gives the type. */
export function writeType(packet: u32, length: u32): u32 {
  const end = packet + length
  let at = packet + 14
  let type: u32 = 0
  let hash: u32 = 0
  if (at <= end) {
    let etherType: u32 = load<u16>(packet, 12)
    while (isTag(etherType) && type < <u32>(TYPE_MOST_TAGS * TYPE_TAG) && at + 4 <= end) {
      etherType = load<u16>(at, 2)
      at += 4
      type += TYPE_TAG
    }
    if (etherType === ETHERTYPE_ARP) type |= TYPE_ARP
    else if (etherType === ETHERTYPE_IPV4 && isIpv4(at, end)) {
      const transport = at + ((load<u8>(at) & 15) << 2)
      const protocol: u32 = load<u8>(at, 9)
      type |= typeOfIpv4(at, protocol)
      const ports = (type & TYPE_FRAGMENT) !== 0 ? 0 : portsAt(protocol, transport, end)
      hash = mix(load<u32>(at, 12), load<u32>(at, 16), ports, protocol)
    } else if (etherType === ETHERTYPE_IPV6 && at + 40 <= end) {
      const protocol: u32 = load<u8>(at, 6)
      type |= typeOfIpv6(protocol)
      hash = mix(address6(at + 8), address6(at + 24), portsAt(protocol, at + 40, end), protocol)
    }
  }
  const metadata = packet - METADATA_BYTES
  store<u32>(metadata, hash, METADATA_HASH)
  store<u16>(metadata, <u16>type, METADATA_TYPE)
  store<u8>(metadata, load<u8>(metadata, METADATA_VALID) | METADATA_HAS_FLOW, METADATA_VALID)
  return type
}

function isTag(etherType: u32): bool {
  return etherType === ETHERTYPE_TAG || etherType === ETHERTYPE_OUTER_TAG
}

function isIpv4(at: u32, end: u32): bool {
  return at + 20 <= end && (load<u8>(at) & 15) >= 5
}

function typeOfIpv4(at: u32, protocol: u32): u32 {
  let type: u32 = TYPE_IPV4 | transportOf(protocol)
  if (protocol === 1) type |= TYPE_ICMP
  if ((load<u8>(at) & 15) > 5) type |= TYPE_EXTENDED
  if ((load<u16>(at, 6) & IS_FRAGMENT) !== 0) type |= TYPE_FRAGMENT
  return type
}

function typeOfIpv6(protocol: u32): u32 {
  let type: u32 = TYPE_IPV6 | transportOf(protocol)
  if (protocol === 58) type |= TYPE_ICMP
  if (isExtension(protocol)) type |= TYPE_EXTENDED
  if (protocol === FRAGMENT) type |= TYPE_FRAGMENT
  return type
}

function transportOf(protocol: u32): u32 {
  if (protocol === 6) return TYPE_TCP
  return protocol === 17 ? TYPE_UDP : 0
}

/** Hop-by-hop, routing, fragment, authentication, destination options, mobility, host identity, shim6. */
function isExtension(protocol: u32): bool {
  switch (protocol) {
    case 0:
    case 43:
    case FRAGMENT:
    case 51:
    case 60:
    case 135:
    case 139:
    case 140:
      return true
    default:
      return false
  }
}
