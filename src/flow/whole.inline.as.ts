import { FLAG_CHECKSUM_GOOD, FLAG_CHECKSUM_MISSING } from '../memory/formats'
import { addBytes, foldSum } from '../wire/checksum.inline.as'
import { KEY_FAMILY, KEY_PROTOCOL, PACKET_END, PACKET_NETWORK, PACKET_TRANSPORT } from './formats'
import { isIcmp, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from './packet.inline.as'

/** Whether the transport's checksum is right; `flags` are the descriptor's. Protocols without one are. */
export function isWhole(context: u32, flags: u32): bool {
  const network = load<u32>(context, PACKET_NETWORK)
  const transport = load<u32>(context, PACKET_TRANSPORT)
  const family = <u32>load<u8>(context, KEY_FAMILY)
  if ((flags & (FLAG_CHECKSUM_GOOD | FLAG_CHECKSUM_MISSING)) !== 0) return true
  const protocol = <u32>load<u8>(context, KEY_PROTOCOL)
  const bytes = load<u32>(context, PACKET_END) - transport
  if (protocol === PROTOCOL_UDP && family === 4 && bytes >= 8 && load<u16>(transport, 6) === 0) return true
  if (protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP || (family === 6 && protocol === PROTOCOL_ICMPV6)) {
    return foldSum(addBytes(pseudoSumOf(network, family, protocol, bytes), transport, bytes)) === 0xffff
  }
  return !isIcmp(protocol, family) || foldSum(addBytes(0, transport, bytes)) === 0xffff
}

/** RFC 9293, 3.1; RFC 8200, 8.1. */
function pseudoSumOf(network: u32, family: u32, protocol: u32, bytes: u32): u64 {
  const sum = ((<u64>protocol) << 8) + bswap<u16>(<u16>bytes)
  return family === 6 ? addBytes(sum, network + 8, 32) : addBytes(sum, network + 12, 8)
}
