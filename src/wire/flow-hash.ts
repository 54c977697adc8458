const ETHERNET_BYTES = 14
const TYPE_IPV4 = 0x0800
const TYPE_IPV6 = 0x86dd
const TYPES_VLAN: readonly number[] = [0x8100, 0x88a8]
const MOST_TAGS = 2
const VLAN_BYTES = 4
const IPV6_BYTES = 40
/** TCP, UDP, SCTP: their headers begin with the two ports. */
const PROTOCOLS_WITH_PORTS: readonly number[] = [6, 17, 132]

/**
 * The flow hash of an Ethernet frame, 32 bits: what the XDP program writes into
 * the frame's metadata, and what `steer` computes where it did not. It is the
 * same in both directions of a connection. This is the plain definition; the
 * eBPF and AssemblyScript forms agree with it on every packet.
 *
 *     flow     = finish(endpoint(source) + endpoint(destination) + protocol * 0x27d4eb2f)
 *     endpoint = m ^ m >> 13 where m = (a ^ a >> 16) * 0x85ebca6b, a = address + port * 0x9e3779b1
 *     finish   = m ^ m >> 13 where m = (x ^ x >> 16) * 0xc2b2ae35
 *
 * All modulo 2^32; words and ports as a little-endian machine reads them. An
 * IPv6 address of words a b c d is ((a * k + b) * k + c) * k + d, k = 0x9e3779b1,
 * its protocol the next header of the fixed header. Ports are 0 where there are
 * none: other protocols, any fragment, or bytes that were not captured. Up to
 * two VLAN tags are passed over. What is not IP, or too short for its header,
 * has hash 0.
 */
export function flowHash(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  const has = (end: number) => end <= frame.length
  if (!has(ETHERNET_BYTES)) return 0
  let at = ETHERNET_BYTES
  let type = view.getUint16(at - 2)
  for (let tags = 0; tags < MOST_TAGS && TYPES_VLAN.includes(type) && has(at + VLAN_BYTES); tags++) {
    at += VLAN_BYTES
    type = view.getUint16(at - 2)
  }
  const word = (offset: number) => view.getUint32(offset, true)
  const address6 = (offset: number) =>
    [4, 8, 12].reduce((sum, next) => (Math.imul(sum, GOLDEN) + word(offset + next)) | 0, word(offset))
  const ports = (protocol: number, offset: number): readonly [number, number] =>
    PROTOCOLS_WITH_PORTS.includes(protocol) && has(offset + 4)
      ? [view.getUint16(offset, true), view.getUint16(offset + 2, true)]
      : [0, 0]
  if (type === TYPE_IPV4 && has(at + 20) && (frame[at]! & 15) >= 5) {
    const protocol = frame[at + 9]!
    const isFragment = (view.getUint16(at + 6) & 0x3fff) !== 0
    const [from, to] = isFragment ? [0, 0] : ports(protocol, at + (frame[at]! & 15) * 4)
    return mix(word(at + 12), from, word(at + 16), to, protocol)
  }
  if (type === TYPE_IPV6 && has(at + IPV6_BYTES)) {
    const protocol = frame[at + 6]!
    const [from, to] = ports(protocol, at + IPV6_BYTES)
    return mix(address6(at + 8), from, address6(at + 24), to, protocol)
  }
  return 0
}

const GOLDEN = 0x9e3779b1

function mix(source: number, from: number, destination: number, to: number, protocol: number): number {
  const sum = endpoint(source, from) + endpoint(destination, to) + Math.imul(protocol, 0x27d4eb2f)
  return stir(sum, 0xc2b2ae35)
}

function endpoint(address: number, port: number): number {
  return stir(address + Math.imul(port, GOLDEN), 0x85ebca6b)
}

function stir(value: number, factor: number): number {
  const mixed = Math.imul(value ^ (value >>> 16), factor)
  return (mixed ^ (mixed >>> 13)) >>> 0
}
