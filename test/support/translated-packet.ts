import { addWords, ETHERTYPE, foldChecksum, write16, writeEthernet } from '../../src/wire/index.js'

/** A packet by its addresses; of ICMP the two ports are the same identifier. */
export interface TranslatedPacket {
  readonly protocol: 'tcp' | 'udp' | 'icmp'
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly sourcePort: number
  readonly destinationPort: number
  readonly payload: Uint8Array
  /** Of ICMP: whether it answers an echo. */
  readonly isReply: boolean
  readonly hops?: number
  /** UDP without a checksum. */
  readonly isUnsummed?: boolean
  /** TCP flags. */
  readonly flags?: number
  readonly sequence?: number
  readonly acknowledged?: number
}

const NUMBERS = { tcp: 6, udp: 17, icmp: 1 } as const
const ICMPV6 = 58

/** Its frame from one station to another, with right checksums. */
export function translatedFrame(packet: TranslatedPacket, from: Uint8Array, to: Uint8Array): Uint8Array {
  const ip = translatedIp(packet)
  const frame = new Uint8Array(14 + ip.length)
  writeEthernet(frame, to, from, packet.source.length === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6)
  frame.set(ip, 14)
  return frame
}

/** The IP packet. */
export function translatedIp(packet: TranslatedPacket): Uint8Array {
  const { protocol, source, destination, hops = 64 } = packet
  const isIpv4 = source.length === 4
  const transport = transportOf(packet, isIpv4)
  const number = protocol === 'icmp' && !isIpv4 ? ICMPV6 : NUMBERS[protocol]
  const field = { tcp: 16, udp: 6, icmp: 2 }[protocol]
  if (!packet.isUnsummed) {
    const hasPseudo = protocol !== 'icmp' || !isIpv4
    const pseudo = hasPseudo ? addWords(addWords(number + transport.length, source), destination) : 0
    const sum = foldChecksum(addWords(pseudo, transport))
    write16(transport, field, sum === 0 && protocol === 'udp' ? 0xffff : sum)
  }
  return ipOf(source, destination, number, hops, transport)
}

/** An IP packet around a transport that is whole. */
export function ipOf(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  hops: number,
  transport: Uint8Array,
): Uint8Array {
  const isIpv4 = source.length === 4
  const header = new Uint8Array(isIpv4 ? 20 : 40)
  if (isIpv4) {
    header.set([0x45, 0, 0, 0, 0, 0, 0x40, 0, hops, protocol])
    write16(header, 2, 20 + transport.length)
    header.set(source, 12)
    header.set(destination, 16)
    write16(header, 10, foldChecksum(addWords(0, header)))
  } else {
    header.set([0x60, 0, 0, 0, 0, 0, protocol, hops])
    write16(header, 4, transport.length)
    header.set(source, 8)
    header.set(destination, 24)
  }
  return Uint8Array.from([...header, ...transport])
}

/** An ICMP error from `by` to the source of the packet that it quotes: its port is closed, or its life is over. */
export function errorAbout(quoted: Uint8Array, by: Uint8Array, to: Uint8Array, quotedBytes: number): Uint8Array {
  const isIpv4 = by.length === 4
  const message = new Uint8Array(8 + Math.min(quoted.length, quotedBytes))
  message.set(isIpv4 ? [3, 3] : [1, 4])
  message.set(quoted.subarray(0, quotedBytes), 8)
  const pseudo = isIpv4 ? 0 : addWords(addWords(ICMPV6 + message.length, by), to)
  write16(message, 2, foldChecksum(addWords(pseudo, message)))
  return ipOf(by, to, isIpv4 ? NUMBERS.icmp : ICMPV6, 64, message)
}

function transportOf(packet: TranslatedPacket, isIpv4: boolean): Uint8Array {
  const { protocol, sourcePort, destinationPort, payload, isReply } = packet
  const header = { tcp: 20, udp: 8, icmp: 8 }[protocol]
  const bytes = new Uint8Array(header + payload.length)
  bytes.set(payload, header)
  if (protocol === 'icmp') {
    bytes[0] = isIpv4 ? (isReply ? 0 : 8) : isReply ? 129 : 128
    write16(bytes, 4, sourcePort)
    return bytes
  }
  write16(bytes, 0, sourcePort)
  write16(bytes, 2, destinationPort)
  if (protocol === 'udp') {
    write16(bytes, 4, bytes.length)
    return bytes
  }
  const view = new DataView(bytes.buffer)
  view.setUint32(4, packet.sequence ?? 1)
  view.setUint32(8, packet.acknowledged ?? 0)
  bytes[12] = 0x50
  bytes[13] = packet.flags ?? 2
  write16(bytes, 14, 65_535)
  return bytes
}
