import { FLAG_CHECKSUM_MISSING } from '../memory/formats'
import { NOTE_IDENTIFICATION_BEFORE } from '../route/formats'
import { foldSum } from '../wire/checksum.inline.as'
import {
  FLOW_ADDRESSES,
  FLOW_KEYS,
  FLOW_STATUS,
  KEY_BYTES,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_PROTOCOL,
  STATUS_DESTINATION,
  STATUS_SOURCE,
} from './formats'
import {
  FRAGMENT_HEADER_BYTES,
  fragmentHeader,
  hasPorts,
  isExtension,
  isIcmp,
  isLater,
  PROTOCOL_FRAGMENT,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
} from './packet.inline.as'

/*
 * A packet of one direction gets the addresses that the key of the other
 * direction has, turned round. Its destination is rewritten before it is routed
 * and its source behind that, each by its own; in between it is as Linux's hook
 * `forward` sees it. All checksums are changed by what has changed (RFC 1624),
 * so a wrong one stays wrong.
 */
export const SIDE_SOURCE: u32 = 0
export const SIDE_DESTINATION: u32 = 1
export const STATUS_TRANSLATED: u32 = STATUS_DESTINATION | STATUS_SOURCE

const ICMP_BYTES: u32 = 8
const IPV6_BYTES: u32 = 40
const IPV4_SUM: u32 = 10
/** As it is loaded. */
const FRAGMENT_OFFSET: u32 = 0xff1f
const IS_FRAGMENT: u32 = 0xff3f
const ETHERNET_BYTES: u32 = 14
const IDENTIFICATION: u32 = 4
const ICMP_SUM: u32 = 2
const ICMP_ID: u32 = 4
const TCP_SUM: u32 = 16
/** Of UDP, UDP-Lite and DCCP. */
const UDP_SUM: u32 = 6

/** Whether that side of the flow's packets in this direction is translated. */
export function translates(flow: u32, direction: u32, side: u32): bool {
  return (<u32>load<u16>(flow, FLOW_STATUS) & (side === direction ? STATUS_SOURCE : STATUS_DESTINATION)) !== 0
}

/** Stores 16 bits, and gives what they add to a sum: what is new, less what was there. */
function put(at: u32, value: u32): u32 {
  const before = <u32>load<u16>(at)
  store<u16>(at, <u16>value)
  return (before ^ 0xffff) + value
}

function putAddress(at: u32, from: u32, family: u32): u32 {
  let change: u32 = 0
  for (let offset: u32 = 0, bytes: u32 = family === 4 ? 4 : 16; offset < bytes; offset += 2) {
    change += put(at + offset, load<u16>(from + offset))
  }
  return change
}

/** Changes a checksum, which is of something that has changed so, and gives what that adds to a sum around it. */
function mend(at: u32, change: u32): u32 {
  return put(at, foldSum(<u64>(<u32>load<u16>(at) ^ 0xffff) + change) ^ 0xffff)
}

function addressIn(flow: u32, direction: u32, side: u32, family: u32): u32 {
  return family === 4
    ? flow + FLOW_KEYS + direction * KEY_BYTES + (side << 2)
    : flow + FLOW_ADDRESSES + direction * 32 + (side << 4)
}

function addressOf(network: u32, side: u32, family: u32): u32 {
  return family === 4 ? network + 12 + (side << 2) : network + 8 + (side << 4)
}

/** The header behind the IP header and its extensions, which have been walked before. */
function transportOf(network: u32, family: u32): u32 {
  if (family === 4) return network + ((<u32>load<u8>(network) & 15) << 2)
  let transport = network + IPV6_BYTES
  for (let next = <u32>load<u8>(network, 6); isExtension(next); ) {
    // A fragment header has no length; what stands there is whatever the sender likes.
    const bytes = next === PROTOCOL_FRAGMENT ? FRAGMENT_HEADER_BYTES : (<u32>load<u8>(transport, 1) + 1) << 3
    next = load<u8>(transport)
    transport += bytes
  }
  return transport
}

/** Whether the transport's header is in another fragment. */
function isLaterFragment(network: u32, family: u32): bool {
  if (family === 4) return (<u32>load<u16>(network, 6) & FRAGMENT_OFFSET) !== 0
  return isExtension(load<u8>(network, 6)) && isLaterIpv6(network)
}

function isLaterIpv6(network: u32): bool {
  const header = fragmentHeader(network)
  return header !== 0 && isLater(header)
}

/** Translates one side of a packet of a flow, if it is to be. */
export function translateSide(flow: u32, direction: u32, network: u32, flags: u32, side: u32): void {
  if (translates(flow, direction, side)) writeSide(flow, direction, network, flags, side, 1 - direction, 1 - side)
}

/** Takes back what `translateSide` has done to a destination. */
export function restoreDestination(flow: u32, direction: u32, network: u32, flags: u32): void {
  if (!translates(flow, direction, SIDE_DESTINATION)) return
  writeSide(flow, direction, network, flags, SIDE_DESTINATION, direction, SIDE_DESTINATION)
}

/** Writes one side of a packet, as the key of the direction `from` has it at its side `place`. */
function writeSide(flow: u32, direction: u32, network: u32, flags: u32, side: u32, from: u32, place: u32): void {
  const key = flow + FLOW_KEYS + from * KEY_BYTES
  const family = <u32>load<u8>(key, KEY_FAMILY)
  const protocol = <u32>load<u8>(key, KEY_PROTOCOL)
  const change = putAddress(addressOf(network, side, family), addressIn(flow, from, place, family), family)
  if (family === 4) {
    // The one test that a packet pays which is no fragment.
    if ((<u32>load<u16>(network, 6) & IS_FRAGMENT) === 0) mend(network + IPV4_SUM, change)
    else {
      mend(network + IPV4_SUM, change + (side === SIDE_SOURCE ? identify(network) : 0))
      if (isLaterFragment(network, 4)) return
    }
  } else if (isLaterFragment(network, 6)) return
  const transport = transportOf(network, family)
  const ports = putPort(key, place, transport, side, side === direction)
  mendTransport(protocol, family, transport, change, ports, flags)
}

/**
 * Hosts that have one address outside may choose one identification: all
 * fragments of a datagram have another one, as noted (RFC 6864, 5.3).
 */
function identify(network: u32): u32 {
  return put(network + IDENTIFICATION, load<u16>(network - ETHERNET_BYTES - NOTE_IDENTIFICATION_BEFORE))
}

/**
 * Writes the port of that side, as the key has it at `place`; of ICMP the
 * identifier, if it goes with this side. SCTP's ports stay, as its sum covers them.
 */
function putPort(key: u32, place: u32, transport: u32, side: u32, isIdentified: bool): u32 {
  const protocol = <u32>load<u8>(key, KEY_PROTOCOL)
  if (isIcmp(protocol, load<u8>(key, KEY_FAMILY))) {
    return isIdentified ? put(transport + ICMP_ID, load<u16>(key, KEY_PORTS)) : 0
  }
  if (!hasPorts(protocol) || protocol === PROTOCOL_SCTP) return 0
  return put(transport + (side << 1), load<u16>(key + (place << 1), KEY_PORTS))
}

/** Where the transport's checksum is, or 0 where it has none that covers addresses or ports. */
function sumAt(protocol: u32, family: u32): u32 {
  if (protocol === PROTOCOL_TCP) return TCP_SUM
  if (isIcmp(protocol, family)) return ICMP_SUM
  return hasPorts(protocol) && protocol !== PROTOCOL_SCTP ? UDP_SUM : 0
}

/** Gives what the change of the checksum itself adds to a sum around it. */
function mendTransport(protocol: u32, family: u32, transport: u32, addresses: u32, ports: u32, flags: u32): u32 {
  const field = sumAt(protocol, family)
  if (field === 0) return 0
  const at = transport + field
  // Whoever sends it will add all but the addresses to what stands there, which is not inverted.
  if ((flags & FLAG_CHECKSUM_MISSING) !== 0) return put(at, foldSum(<u64>load<u16>(at) + addresses))
  // 0 says that there is none; a sum of 0 is written as -0 (RFC 768, RFC 8200).
  if (field === UDP_SUM && load<u16>(at) === 0) return 0
  const change = mend(at, ports + (isIcmp(protocol, family) && family === 4 ? 0 : addresses))
  return field === UDP_SUM && load<u16>(at) === 0 ? change + put(at, 0xffff) : change
}

/**
 * Translates one side of an ICMP error about a flow, if it is to be, and the
 * opposite side of the packet that it quotes, as Linux does: who gets the error
 * has sent that packet under those addresses.
 */
export function translateError(flow: u32, direction: u32, network: u32, end: u32, side: u32): void {
  if (!translates(flow, direction, side)) return
  const other = 1 - direction
  const key = flow + FLOW_KEYS + other * KEY_BYTES
  const family = <u32>load<u8>(key, KEY_FAMILY)
  const protocol = <u32>load<u8>(key, KEY_PROTOCOL)
  const address = addressIn(flow, other, 1 - side, family)
  const outer = putAddress(addressOf(network, side, family), address, family)
  if (family === 4) mend(network + IPV4_SUM, outer)
  if (isLaterFragment(network, family)) return
  const message = transportOf(network, family)
  const quoted = message + ICMP_BYTES
  const inner = putAddress(addressOf(quoted, 1 - side, family), address, family)
  let change = inner
  if (family === 4) change += mend(quoted + IPV4_SUM, inner)
  const transport = transportOf(quoted, family)
  const ports = putPort(key, 1 - side, transport, 1 - side, side === direction)
  change += ports
  // Often too little is quoted for a checksum to be there.
  if (transport + sumAt(protocol, family) + 2 <= end) {
    change += mendTransport(protocol, family, transport, inner, ports, 0)
  }
  mend(message + ICMP_SUM, family === 6 ? change + outer : change)
}

/** Both sides of a packet that is not routed any more. */
export function translateBoth(flow: u32, direction: u32, network: u32, flags: u32): void {
  translateSide(flow, direction, network, flags, SIDE_DESTINATION)
  translateSide(flow, direction, network, flags, SIDE_SOURCE)
}
