import {
  addWords,
  ETHERNET,
  ETHERTYPE,
  foldChecksum,
  IP_PROTOCOL,
  IPV4,
  TCP,
  UDP,
  write16,
} from '../../src/wire/index.js'

/** A TCP segment or a datagram, by what a test wants to say of it; what is not said is ordinary. */
export interface FlowPacket {
  readonly family: 4 | 6
  readonly protocol: 'tcp' | 'udp'
  readonly payload: Uint8Array
  /** Last bytes of the addresses, and the source port: what tells flows apart. */
  readonly flow?: number
  readonly sequence?: number
  readonly acknowledged?: number
  /** Bits of the TCP header's flags; ACK where it is not said. */
  readonly flags?: number
  readonly window?: number
  /** TCP options, a multiple of four. */
  readonly options?: readonly number[]
  readonly hops?: number
  /** Type of service or traffic class. */
  readonly service?: number
  readonly identification?: number
  /** Flags and offset of IPv4; do-not-fragment where it is not said. */
  readonly fragment?: number
  /** IPv4 options, a multiple of four. */
  readonly ipOptions?: readonly number[]
  readonly label?: number
  /** An IPv6 extension header: its type, and its bytes from the second on. */
  readonly extension?: { readonly type: number; readonly bytes: readonly number[] }
  /** VLAN tags, from the outer to the inner. */
  readonly vlans?: readonly number[]
  /** Bytes behind the IP packet. */
  readonly trailer?: number
  readonly damage?: 'transport checksum' | 'network checksum'
  /** UDP without a checksum. */
  readonly isUnsummed?: boolean
}

const MACS = [2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a]

/** The packet's bytes, with right checksums unless it is damaged. */
export function flowFrame(packet: FlowPacket): Uint8Array {
  const { family, vlans = [], trailer = 0, damage } = packet
  const transport = transportOf(packet)
  const network = family === 4 ? ipv4Of(packet, transport.length) : ipv6Of(packet, transport.length)
  writeChecksum(packet, network, transport)
  if (damage === 'transport checksum') transport[transport.length - 1]! ^= 0x10
  if (damage === 'network checksum') network[IPV4.checksum]! ^= 0x10
  const type = family === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6
  const tags = vlans.flatMap((tag) => [0x81, 0, tag >> 8, tag & 0xff])
  const link = [...MACS, ...tags, type >> 8, type & 0xff]
  return Uint8Array.from([...link, ...network, ...transport, ...new Uint8Array(trailer)])
}

/** Where headers begin in a frame that `flowFrame` could have made. */
export function headersOf(frame: Uint8Array): { network: number; transport: number; payload: number; isTcp: boolean } {
  let network: number = ETHERNET.headerBytes
  while (read16(frame, network - 2) === 0x8100) network += 4
  const isIpv4 = read16(frame, network - 2) === ETHERTYPE.ipv4
  let transport = network + (isIpv4 ? (frame[network]! & 15) * 4 : 40)
  let protocol = frame[network + (isIpv4 ? IPV4.protocol : 6)]!
  while (protocol === 0 || protocol === 43 || protocol === 60) {
    protocol = frame[transport]!
    transport += (frame[transport + 1]! + 1) * 8
  }
  const isTcp = protocol === IP_PROTOCOL.tcp
  const bytes = isTcp ? (frame[transport + TCP.dataOffset]! >> 4) * 4 : UDP.headerBytes
  return { network, transport, payload: transport + bytes, isTcp }
}

export function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/** The sum over the pseudo header for what stands from `transport` on, unfolded. */
export function pseudoHeaderSum(frame: Uint8Array, network: number, isTcp: boolean, lengthBytes: number): number {
  const isIpv4 = frame[network]! >> 4 === 4
  const [start, end] = isIpv4 ? [IPV4.source, IPV4.headerBytes] : [8, 40]
  const protocol = isTcp ? IP_PROTOCOL.tcp : IP_PROTOCOL.udp
  return addWords(protocol + lengthBytes, frame, network + start, network + end)
}

function transportOf(packet: FlowPacket): Uint8Array {
  const {
    protocol,
    payload,
    flow = 0,
    sequence = 0,
    acknowledged = 1,
    flags = 0x10,
    window = 500,
    options = [],
  } = packet
  if (protocol === 'udp') {
    const bytes = new Uint8Array(UDP.headerBytes + payload.length)
    write16(bytes, UDP.sourcePort, 4000 + flow)
    write16(bytes, UDP.destinationPort, 9)
    write16(bytes, UDP.length, bytes.length)
    bytes.set(payload, UDP.headerBytes)
    return bytes
  }
  const header = TCP.headerBytes + options.length
  const bytes = new Uint8Array(header + payload.length)
  const view = new DataView(bytes.buffer)
  write16(bytes, TCP.sourcePort, 4000 + flow)
  write16(bytes, TCP.destinationPort, 9)
  view.setUint32(TCP.sequence, sequence)
  view.setUint32(TCP.sequence + 4, acknowledged)
  bytes[TCP.dataOffset] = (header / 4) << 4
  bytes[TCP.flags] = flags
  write16(bytes, TCP.window, window)
  bytes.set(options, TCP.headerBytes)
  bytes.set(payload, header)
  return bytes
}

function ipv4Of(packet: FlowPacket, lengthBytes: number): Uint8Array {
  const { protocol, flow = 0, hops = 64, service = 0, identification = 0, fragment = 0x4000, ipOptions = [] } = packet
  const bytes = new Uint8Array(IPV4.headerBytes + ipOptions.length)
  bytes[0] = 0x40 | (bytes.length / 4)
  bytes[1] = service
  write16(bytes, IPV4.totalLength, bytes.length + lengthBytes)
  write16(bytes, IPV4.identification, identification)
  write16(bytes, IPV4.fragment, fragment)
  bytes[IPV4.timeToLive] = hops
  bytes[IPV4.protocol] = IP_PROTOCOL[protocol]
  bytes.set([192, 0, 2, flow & 0xff, 192, 0, 2, 250], IPV4.source)
  bytes.set(ipOptions, IPV4.headerBytes)
  write16(bytes, IPV4.checksum, foldChecksum(addWords(0, bytes)))
  return bytes
}

function ipv6Of(packet: FlowPacket, lengthBytes: number): Uint8Array {
  const { protocol, flow = 0, hops = 64, service = 0, label = 0, extension } = packet
  const more = extension ? [IP_PROTOCOL[protocol], ...extension.bytes] : []
  const bytes = new Uint8Array(40 + more.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0x6000_0000 | (service << 20) | label)
  write16(bytes, 4, more.length + lengthBytes)
  bytes[6] = extension?.type ?? IP_PROTOCOL[protocol]
  bytes[7] = hops
  bytes.set([0x20, 0x01, 0x0d, 0xb8], 8)
  bytes[23] = flow & 0xff
  bytes.set([0x20, 0x01, 0x0d, 0xb8], 24)
  bytes[39] = 250
  bytes.set(more, 40)
  return bytes
}

function writeChecksum({ protocol, isUnsummed }: FlowPacket, network: Uint8Array, transport: Uint8Array): void {
  const isTcp = protocol === 'tcp'
  if (isUnsummed) return
  const sum = foldChecksum(addWords(pseudoHeaderSum(network, 0, isTcp, transport.length), transport))
  write16(transport, isTcp ? TCP.checksum : UDP.checksum, sum === 0 && !isTcp ? 0xffff : sum)
}
