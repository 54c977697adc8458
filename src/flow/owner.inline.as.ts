import { mix } from '../wire/flow-hash.inline.as'
import {
  FLOWS_OWNER_KEYS,
  FLOWS_OWNERS,
  FLOWS_PUBLISHES,
  KEY_DESTINATION,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_PROTOCOL,
  KEY_SOURCE,
  TUPLE_BYTES,
} from './formats'
import { hasPorts, invert, isIcmp, PROTOCOL_SCTP } from './packet.inline.as'
import { hasRules, publish } from './publish.inline.as'

/**
 * Which worker has the flow of a key: the same for both of its keys, translated
 * or not. Each end of the key counts as what it is translated to as a
 * destination, so a published address is the server behind it; that a
 * translated source is answered to the same worker, is seen to by who chooses
 * its port. Where nobody can choose it, because there is none, flows are the first worker's.
 */
export function ownerOf(flows: u32, tuple: u32): u32 {
  const protocol = <u32>load<u8>(tuple, KEY_PROTOCOL)
  const isEcho = isIcmp(protocol, load<u8>(tuple, KEY_FAMILY))
  if (!isEcho && (!hasPorts(protocol) || protocol === PROTOCOL_SCTP) && hasRules(flows)) return 0
  let source = load<u32>(tuple, KEY_SOURCE)
  let destination = load<u32>(tuple, KEY_DESTINATION)
  let ports = load<u32>(tuple, KEY_PORTS)
  if (load<u32>(flows, FLOWS_PUBLISHES) !== 0) {
    const one = flows + FLOWS_OWNER_KEYS
    const other = one + <u32>TUPLE_BYTES
    memory.copy(one, tuple, TUPLE_BYTES)
    invert(tuple, other)
    // Each writes only to the source of its last.
    publish(flows, tuple, other)
    publish(flows, other, one)
    source = load<u32>(one, KEY_SOURCE)
    destination = load<u32>(other, KEY_SOURCE)
    ports = <u32>load<u16>(one, KEY_PORTS) | ((<u32>load<u16>(other, KEY_PORTS)) << 16)
  }
  // An identifier is that of both ends.
  if (isEcho) ports = (load<u32>(tuple, KEY_PORTS) & 0xffff) * 0x10001
  return shareOf(mix(source, destination, ports, protocol), load<u32>(flows, FLOWS_OWNERS))
}

/** The high half of the product: 0 to `shares` - 1, each as often, without a division. */
export function shareOf(hash: u32, shares: u32): u32 {
  return <u32>((<u64>hash * <u64>shares) >> 32)
}
