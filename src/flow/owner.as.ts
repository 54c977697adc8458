import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
} from '../memory/formats'
import { mix } from '../wire/flow-hash.inline.as'
import {
  FLOWS_FRAGMENTS,
  FLOWS_OWNER,
  FLOWS_OWNERS,
  FLOWS_PACKET,
  FLOWS_PUBLISHES,
  IN_PORT_BEFORE,
  IN_PORT_MASK,
  KEY_DESTINATION,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_PROTOCOL,
  KEY_SOURCE,
  OWNER_FLOWS,
  OWNER_OUTPUTS,
  OWNER_PORT,
  PACKET_END,
  PACKET_OTHER_KEY,
  PACKET_TRANSPORT,
} from './formats'
import { DATAGRAMS_KEY } from './fragment-formats'
import { readFragment } from './fragment-read.inline.as'
import { isError, readQuoted } from './judge.inline.as'
import { ownerOf, shareOf } from './owner.inline.as'
import { isIcmp, PROTOCOL_TCP, PROTOCOL_UDP, READ, READ_FRAGMENT, readPacket } from './packet.inline.as'

/** EtherType, version and header length as they are loaded: IPv4 without options. */
const PLAIN_MASK: u32 = 0xffffff
const PLAIN_IPV4: u32 = 0x450008
const IS_FRAGMENT: u32 = 0xff3f
const SHORTEST: u32 = 42
const ICMP_BYTES: u32 = 8

/**
 * Shares a bundle out to the workers that have its packets' flows. What is no
 * flow's stays: any worker says the same about it.
 */
export function owner(stage: u32, bundle: u32): void {
  const flows = load<u32>(stage, OWNER_FLOWS)
  const outputs = load<u32>(stage, OWNER_OUTPUTS)
  const port = load<u32>(stage, OWNER_PORT)
  const own = load<u32>(flows, FLOWS_OWNER)
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let stays = first
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const whose = ownerOfPacket(flows, packet, load<u32>(at, DESCRIPTOR_CAPTURED), own, port)
    if (whose === own) {
      v128.store(stays, v128.load(at))
      stays += DESCRIPTOR_BYTES
      continue
    }
    store<u32>(packet - IN_PORT_BEFORE, port)
    append(load<u32>(outputs + (whose << 2)), at)
  }
  store<u32>(bundle, (stays - first) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}

function append(bundle: u32, descriptor: u32): void {
  const count = load<u32>(bundle, BUNDLE_COUNT)
  v128.store(bundle + BUNDLE_DESCRIPTORS + count * DESCRIPTOR_BYTES, v128.load(descriptor))
  store<u32>(bundle, count + 1, BUNDLE_COUNT)
}

function ownerOfPacket(flows: u32, packet: u32, captured: u32, own: u32, port: u32): u32 {
  const protocol = <u32>load<u8>(packet, 23)
  if (
    (load<u32>(packet, 12) & PLAIN_MASK) === PLAIN_IPV4 &&
    captured >= SHORTEST &&
    (protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP) &&
    (<u32>load<u16>(packet, 20) & IS_FRAGMENT) === 0 &&
    load<u32>(flows, FLOWS_PUBLISHES) === 0
  ) {
    // As `ownerOf` says of its key.
    const hash = mix(load<u32>(packet, 26), load<u32>(packet, 30), load<u32>(packet, 34), protocol)
    return shareOf(hash, load<u32>(flows, FLOWS_OWNERS))
  }
  const read = readPacket(flows, packet, captured)
  if (read === READ_FRAGMENT) {
    // Also where it stays: what is known of it so far is nothing.
    store<u32>(packet - IN_PORT_BEFORE, port)
    return gathererOf(flows, own)
  }
  if (read !== READ) return own
  const context = flows + FLOWS_PACKET
  const family = <u32>load<u8>(context, KEY_FAMILY)
  const type = (load<u32>(context, KEY_PORTS) >> 16) & 0xff
  if (!isIcmp(load<u8>(context, KEY_PROTOCOL), family) || !isError(type, family)) return ownerOf(flows, context)
  const quoted = context + <u32>PACKET_OTHER_KEY
  const message = load<u32>(context, PACKET_TRANSPORT) + ICMP_BYTES
  const quote = readQuoted(quoted, message, load<u32>(context, PACKET_END), family)
  return quote === READ ? ownerOf(flows, quoted) : own
}

/** Who puts together what a fragment is a part of: all of a datagram have its addresses and identification. */
function gathererOf(flows: u32, own: u32): u32 {
  const table = load<u32>(flows, FLOWS_FRAGMENTS)
  if (table === 0 || readFragment(flows, table) !== 0) return own
  const key = table + <u32>DATAGRAMS_KEY
  const hash = mix(
    load<u32>(key, KEY_SOURCE),
    load<u32>(key, KEY_DESTINATION),
    load<u32>(key, KEY_PORTS),
    load<u8>(key, KEY_PROTOCOL),
  )
  return shareOf(hash, load<u32>(flows, FLOWS_OWNERS))
}

/** Shares a bundle of what other workers have handed over out by the ports by which it has come. */
export function arrived(bundle: u32, outputs: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let stays = first
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const port = load<u32>(load<u32>(at, DESCRIPTOR_ADDRESS) - IN_PORT_BEFORE) & IN_PORT_MASK
    if (port === 0) {
      v128.store(stays, v128.load(at))
      stays += DESCRIPTOR_BYTES
    } else append(load<u32>(outputs + (port << 2)), at)
  }
  store<u32>(bundle, (stays - first) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}
