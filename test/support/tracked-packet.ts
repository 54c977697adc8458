import { parseAddress } from '../../src/kernel/index.js'
import { addWords, ETHERTYPE, foldChecksum, IP_PROTOCOL, write16, writeEthernet } from '../../src/wire/index.js'

/** The two hosts that a tracker stands between, and the addresses that it has on their links. */
export const HOSTS = {
  client: { 4: '192.0.2.1', 6: '2001:db8:1::1', mac: '02:00:00:00:00:0c' },
  server: { 4: '198.51.100.1', 6: '2001:db8:2::1', mac: '02:00:00:00:00:05' },
} as const

export type Host = keyof typeof HOSTS

/** A packet from one of the hosts to the other, by what a test wants to say of it. */
export interface TrackedPacket {
  readonly from: Host
  readonly family?: 4 | 6
  /** TCP flags as tcpdump writes them: `S`, `F`, `R`, `P`, `U`, and `.` for ACK; not of the others. */
  readonly flags?: string
  readonly protocol?: 'tcp' | 'udp' | 'icmp' | 'other'
  /** The client's; the server's is 80. Of ICMP the identifier. */
  readonly port?: number
  readonly serverPort?: number
  readonly sequence?: number
  readonly acknowledged?: number
  readonly window?: number
  /** A multiple of four bytes. */
  readonly options?: readonly number[]
  readonly payload?: Uint8Array
  /** ICMP: type and code. */
  readonly type?: number
  readonly code?: number
  /** Of IPv4: flags and offset. */
  readonly fragment?: number
  /** Of IPv6: types of the extension headers, 8 bytes each; a fragment is the first, with more behind it. */
  readonly extensions?: readonly number[]
  readonly hasWrongChecksum?: boolean
}

const IPV6_BYTES = 40
const TCP_FLAGS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, '.': 16, U: 32 }

/** The IP packet, with right checksums unless it says otherwise. */
export function trackedIp(packet: TrackedPacket): Uint8Array {
  const { from, family = 4, protocol = 'tcp', hasWrongChecksum = false } = packet
  const to = from === 'client' ? 'server' : 'client'
  const [source, destination] = [parseAddress(HOSTS[from][family]), parseAddress(HOSTS[to][family])]
  const transport = TRANSPORTS[protocol](packet)
  const number = protocol === 'icmp' && family === 6 ? 58 : { ...IP_PROTOCOL, other: 99 }[protocol]
  const field = { tcp: 16, udp: 6, icmp: 2, other: null }[protocol]
  if (field !== null) {
    const hasPseudo = protocol !== 'icmp' || family === 6
    const pseudo = hasPseudo ? addWords(addWords(number + transport.length, source), destination) : 0
    const sum = foldChecksum(addWords(pseudo, transport))
    write16(transport, field, (sum === 0 && protocol === 'udp' ? 0xffff : sum) ^ (hasWrongChecksum ? 0x1111 : 0))
  }
  return family === 4
    ? ipv4Of(number, source, destination, transport, packet.fragment ?? 0x4000)
    : ipv6Of(number, source, destination, transport, packet.extensions ?? [])
}

/** The packet in an Ethernet frame to `mac`. */
export function trackedFrame(packet: TrackedPacket, mac: Uint8Array): Uint8Array {
  const ip = trackedIp(packet)
  const frame = new Uint8Array(14 + ip.length)
  const [octet] = ip
  writeEthernet(frame, mac, MACS[packet.from], octet! >> 4 === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6)
  frame.set(ip, 14)
  return frame
}

const MACS = { client: Uint8Array.of(2, 0, 0, 0, 0, 0x0c), server: Uint8Array.of(2, 0, 0, 0, 0, 5) } as const

const TRANSPORTS = {
  tcp: tcpOf,
  udp(packet: TrackedPacket) {
    const { payload = new Uint8Array() } = packet
    const bytes = new Uint8Array(8 + payload.length)
    writePorts(bytes, packet)
    write16(bytes, 4, bytes.length)
    bytes.set(payload, 8)
    return bytes
  },
  icmp({ family = 4, from, type, code = 0, port = 1, payload = new Uint8Array() }: TrackedPacket) {
    const echo = family === 4 ? { client: 8, server: 0 } : { client: 128, server: 129 }
    const bytes = new Uint8Array(8 + payload.length)
    bytes[0] = type ?? echo[from]
    bytes[1] = code
    // An error has nothing there.
    if (![3, 4, 11, 12, 1, 2].includes(bytes[0])) write16(bytes, 4, port)
    bytes.set(payload, 8)
    return bytes
  },
  other: ({ payload = new Uint8Array(8) }: TrackedPacket) => payload.slice(),
} as const

function tcpOf(packet: TrackedPacket): Uint8Array {
  const {
    flags = '.',
    sequence = 0,
    acknowledged = 0,
    window = 65_535,
    options = [],
    payload = new Uint8Array(),
  } = packet
  const header = 20 + options.length
  const bytes = new Uint8Array(header + payload.length)
  const view = new DataView(bytes.buffer)
  writePorts(bytes, packet)
  view.setUint32(4, sequence)
  view.setUint32(8, acknowledged)
  bytes[12] = (header / 4) << 4
  bytes[13] = [...flags].reduce((bits, flag) => bits | TCP_FLAGS[flag]!, 0)
  write16(bytes, 14, window)
  bytes.set(options, 20)
  bytes.set(payload, header)
  return bytes
}

function writePorts(bytes: Uint8Array, { from, port = 40_000, serverPort = 80 }: TrackedPacket): void {
  write16(bytes, 0, from === 'client' ? port : serverPort)
  write16(bytes, 2, from === 'client' ? serverPort : port)
}

function ipv4Of(
  protocol: number,
  source: Uint8Array,
  destination: Uint8Array,
  transport: Uint8Array,
  fragment: number,
): Uint8Array {
  const bytes = new Uint8Array(20 + transport.length)
  bytes[0] = 0x45
  write16(bytes, 2, bytes.length)
  write16(bytes, 6, fragment)
  bytes[8] = 64
  bytes[9] = protocol
  bytes.set(source, 12)
  bytes.set(destination, 16)
  write16(bytes, 10, foldChecksum(addWords(0, bytes, 0, 20)))
  bytes.set(transport, 20)
  return bytes
}

function ipv6Of(
  protocol: number,
  source: Uint8Array,
  destination: Uint8Array,
  transport: Uint8Array,
  extensions: readonly number[],
): Uint8Array {
  const before = IPV6_BYTES + EXTENSION_BYTES * extensions.length
  const bytes = new Uint8Array(before + transport.length)
  const types = [...extensions, protocol]
  bytes[0] = 0x60
  write16(bytes, 4, bytes.length - IPV6_BYTES)
  bytes[6] = types[0]!
  bytes[7] = 64
  bytes.set(source, 8)
  bytes.set(destination, 24)
  extensions.forEach((type, order) => {
    const at = IPV6_BYTES + EXTENSION_BYTES * order
    bytes[at] = types[order + 1]!
    // Options that are padding (PadN of four bytes); of a fragment: offset 0, more fragments.
    bytes.set(type === FRAGMENT ? [0, 0, 1] : [0, 1, 4], at + 1)
  })
  bytes.set(transport, before)
  return bytes
}

const EXTENSION_BYTES = 8
const FRAGMENT = 44
