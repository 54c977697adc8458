const ETHERNET_BYTES: u32 = 14
const VLAN_BYTES: u32 = 4
const IPV6_BYTES: u32 = 40
const GOLDEN: u32 = 0x9e3779b1
/** Types as a little-endian machine reads them. */
const TYPE_IPV4: u32 = 0x0008
const TYPE_IPV6: u32 = 0xdd86
const TYPE_VLAN: u32 = 0x0081
const TYPE_SERVICE_VLAN: u32 = 0xa888
/** Fragment offset and "more fragments": all of the word but "don't fragment" and the reserved bit. */
const FRAGMENT_MASK: u32 = 0xff3f

/** The flow hash of `flow-hash.ts`, which says how it is made. */
export function flowHashOf(packet: u32, captured: u32): u32 {
  if (captured < ETHERNET_BYTES) return 0
  let at = packet + ETHERNET_BYTES
  const end = packet + captured
  let type: u32 = load<u16>(at - 2)
  for (let tags = 0; tags < 2 && (type === TYPE_VLAN || type === TYPE_SERVICE_VLAN) && at + VLAN_BYTES <= end; tags++) {
    at += VLAN_BYTES
    type = load<u16>(at - 2)
  }
  if (type === TYPE_IPV4) {
    const headerBytes: u32 = (<u32>load<u8>(at) & 15) << 2
    if (at + 20 > end || headerBytes < 20) return 0
    const protocol: u32 = load<u8>(at, 9)
    const isFragment = (<u32>load<u16>(at, 6) & FRAGMENT_MASK) !== 0
    const ports = isFragment ? 0 : portsAt(protocol, at + headerBytes, end)
    return mix(load<u32>(at, 12), load<u32>(at, 16), ports, protocol)
  }
  if (type === TYPE_IPV6 && at + IPV6_BYTES <= end) {
    const protocol: u32 = load<u8>(at, 6)
    return mix(address6(at + 8), address6(at + 24), portsAt(protocol, at + IPV6_BYTES, end), protocol)
  }
  return 0
}

export function portsAt(protocol: u32, at: u32, end: u32): u32 {
  if (at + 4 > end) return 0
  return protocol === 6 || protocol === 17 || protocol === 132 ? load<u32>(at) : 0
}

export function address6(at: u32): u32 {
  return ((load<u32>(at) * GOLDEN + load<u32>(at, 4)) * GOLDEN + load<u32>(at, 8)) * GOLDEN + load<u32>(at, 12)
}

export function mix(source: u32, destination: u32, ports: u32, protocol: u32): u32 {
  const from = stir(source + (ports & 0xffff) * GOLDEN, 0x85ebca6b)
  const to = stir(destination + (ports >> 16) * GOLDEN, 0x85ebca6b)
  return stir(from + to + protocol * 0x27d4eb2f, 0xc2b2ae35)
}

function stir(value: u32, factor: u32): u32 {
  const mixed = (value ^ (value >> 16)) * factor
  return mixed ^ (mixed >> 13)
}
