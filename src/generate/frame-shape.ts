/** Where the headers of an Ethernet frame are; null for what is not there, or not whole. */
export interface FrameShape {
  readonly ip: {
    readonly version: 4 | 6
    readonly at: number
    /** Of IPv6 the fixed header. */
    readonly headerBytes: number
    readonly sourceAt: number
    readonly destinationAt: number
    /** Of each address. */
    readonly addressBytes: 4 | 16
    /** First or later. */
    readonly isFragment: boolean
    /** What the header says, from its own first byte on. */
    readonly totalBytes: number
  } | null
  /** What has a checksum behind it, unless this is a later fragment, or its IPv6 headers lead elsewhere. */
  readonly transport: TransportShape | null
}

export interface TransportShape {
  /** `other`: with ports and a checksum in their places, and more that nobody here reads. */
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'other'
  readonly at: number
  readonly checksumAt: number
  /** False where UDP goes without. */
  readonly hasChecksum: boolean
  /** Whether the checksum is one of the addresses too (RFC 9293, section 3.1); ICMP for IPv4 has none of them. */
  readonly coversAddresses: boolean
  /** ICMP echo or its answer, whose identifier stands where others have a second pair of bytes behind the checksum. */
  readonly isEcho: boolean
}

type IpShape = NonNullable<FrameShape['ip']>

const ETHERTYPE_AT = 12
const VLAN_TYPES = new Set([0x8100, 0x88a8])
const TYPE_IPV4 = 0x0800
const TYPE_IPV6 = 0x86dd
const IPV6_HEADER_BYTES = 40
const MORE_FRAGMENTS = 0x2000
const FRAGMENT_OFFSET = 0x1fff

const NOTHING: FrameShape = { ip: null, transport: null }

/** Finds the outermost IP header behind up to any number of VLAN tags, and the transport behind that. */
export function frameShape(bytes: Uint8Array): FrameShape {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (at: number) => (at + 2 <= bytes.length ? view.getUint16(at) : -1)
  let at = ETHERTYPE_AT
  while (VLAN_TYPES.has(word(at))) at += 4
  const type = word(at)
  at += 2
  if (type === TYPE_IPV4 && at + 20 <= bytes.length) return ipv4Shape(bytes, view, at)
  if (type === TYPE_IPV6 && at + IPV6_HEADER_BYTES <= bytes.length) return ipv6Shape(bytes, view, at)
  return NOTHING
}

function ipv4Shape(bytes: Uint8Array, view: DataView, at: number): FrameShape {
  const fragment = view.getUint16(at + 6)
  const headerBytes = (bytes[at]! & 15) * 4
  const ip: IpShape = {
    version: 4,
    at,
    headerBytes,
    sourceAt: at + 12,
    destinationAt: at + 16,
    addressBytes: 4,
    isFragment: (fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET)) !== 0,
    totalBytes: view.getUint16(at + 2),
  }
  const isLater = (fragment & FRAGMENT_OFFSET) !== 0
  return { ip, transport: isLater ? null : transportAt(bytes, at + headerBytes, bytes[at + 9]!, 4) }
}

/** Extension headers (RFC 8200, section 4) that say how long they are, each with the number of what follows. */
const [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS] = [0, 43, 44, 60]

function ipv6Shape(bytes: Uint8Array, view: DataView, at: number): FrameShape {
  let number = bytes[at + 6]!
  let next = at + IPV6_HEADER_BYTES
  let [isFragment, isHidden] = [false, false]
  while ([HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS].includes(number) && next + 8 <= bytes.length) {
    if (number === FRAGMENT) {
      isFragment = true
      isHidden ||= view.getUint16(next + 2) >> 3 !== 0
    }
    // The checksum is one of the last destination, which is not in the header yet (section 8.1).
    if (number === ROUTING) isHidden ||= bytes[next + 3] !== 0
    const length = number === FRAGMENT ? 8 : (bytes[next + 1]! + 1) * 8
    number = bytes[next]!
    next += length
  }
  const ip: IpShape = {
    version: 6,
    at,
    headerBytes: IPV6_HEADER_BYTES,
    sourceAt: at + 8,
    destinationAt: at + 24,
    addressBytes: 16,
    isFragment,
    totalBytes: IPV6_HEADER_BYTES + view.getUint16(at + 4),
  }
  return { ip, transport: isHidden ? null : transportAt(bytes, next, number, 6) }
}

/** By protocol number: what it is called, where its checksum is, and the header's least bytes. */
const TRANSPORTS = new Map<number, { protocol: TransportShape['protocol']; checksumAt: number; leastBytes: number }>([
  [1, { protocol: 'icmp', checksumAt: 2, leastBytes: 8 }],
  [6, { protocol: 'tcp', checksumAt: 16, leastBytes: 20 }],
  [17, { protocol: 'udp', checksumAt: 6, leastBytes: 8 }],
  // DCCP (RFC 4340, section 5.1) and UDP-Lite (RFC 3828, section 3.1).
  [33, { protocol: 'other', checksumAt: 6, leastBytes: 12 }],
  [58, { protocol: 'icmp', checksumAt: 2, leastBytes: 8 }],
  [136, { protocol: 'other', checksumAt: 6, leastBytes: 8 }],
])
/** Echo and its answer: RFC 792, and RFC 4443, section 4. */
const ECHO_TYPES = { 4: [8, 0], 6: [128, 129] } as const
const ICMP_NUMBERS = { 4: 1, 6: 58 } as const

function transportAt(bytes: Uint8Array, at: number, number: number, version: 4 | 6): TransportShape | null {
  const kind = TRANSPORTS.get(number)
  if (kind === undefined || at + kind.leastBytes > bytes.length) return null
  const { protocol } = kind
  if (protocol === 'icmp' && number !== ICMP_NUMBERS[version]) return null
  const checksumAt = at + kind.checksumAt
  const echoTypes: readonly number[] = ECHO_TYPES[version]
  return {
    protocol,
    at,
    checksumAt,
    hasChecksum: protocol !== 'udp' || (bytes[checksumAt]! | bytes[checksumAt + 1]!) !== 0,
    coversAddresses: protocol !== 'icmp' || version === 6,
    isEcho: protocol === 'icmp' && echoTypes.includes(bytes[at]!),
  }
}
