/** A value that differs from packet to packet, in network order. */
export interface TemplateField {
  /** Offset in the frame; even. */
  readonly at: number
  readonly bytes: 2 | 4
  readonly first: number
  /** How many values there are, from `first` on; 2^32 at most. */
  readonly count: number
  /** Drawn anew for each packet, or one after the other. */
  readonly isInTurn: boolean
}

/** A packet to be sent again and again, as a plain value. Its checksums are kept right where they are right. */
export interface Template {
  readonly bytes: Uint8Array
  readonly fields: readonly TemplateField[]
  /** Where the payload has room for a stamp; null for none. */
  readonly stampAt: number | null
  /** How often it is chosen, beside the others; a whole number. */
  readonly weight: number
  /** Until the next packet is due, where arrivals are `recorded`. */
  readonly gapNs?: number
}

/** Where the headers of an Ethernet frame are; null for what is not there, or not whole. */
export interface FrameShape {
  readonly ip: { readonly version: 4 | 6; readonly at: number; readonly headerBytes: number } | null
  /** TCP or UDP behind it, unless this is a fragment. */
  readonly transport: {
    readonly protocol: 'tcp' | 'udp'
    readonly at: number
    readonly checksumAt: number
    /** False where UDP goes without. */
    readonly hasChecksum: boolean
  } | null
}

const ETHERTYPE_AT = 12
const VLAN_TYPES = new Set([0x8100, 0x88a8])
const TYPE_IPV4 = 0x0800
const TYPE_IPV6 = 0x86dd
const FRAGMENT_BITS = 0x3fff
/** By protocol number: what it is called, where its checksum is, and the header's least bytes. */
const TRANSPORTS = new Map([
  [6, { protocol: 'tcp', checksumAt: 16, leastBytes: 20 }],
  [17, { protocol: 'udp', checksumAt: 6, leastBytes: 8 }],
] as const)

/** Finds the headers behind up to any number of VLAN tags. IPv6 extension headers are not followed. */
export function frameShape(bytes: Uint8Array): FrameShape {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (at: number) => (at + 2 <= bytes.length ? view.getUint16(at) : -1)
  let at = ETHERTYPE_AT
  while (VLAN_TYPES.has(word(at))) at += 4
  const type = word(at)
  at += 2
  if (type === TYPE_IPV4 && at + 20 <= bytes.length) {
    const ip = { version: 4, at, headerBytes: (bytes[at]! & 15) * 4 } as const
    const isFragment = (word(at + 6) & FRAGMENT_BITS) !== 0
    return { ip, transport: isFragment ? null : transportAt(bytes, at + ip.headerBytes, bytes[at + 9]!) }
  }
  if (type !== TYPE_IPV6 || at + 40 > bytes.length) return { ip: null, transport: null }
  return { ip: { version: 6, at, headerBytes: 40 }, transport: transportAt(bytes, at + 40, bytes[at + 6]!) }
}

function transportAt(bytes: Uint8Array, at: number, number: number): FrameShape['transport'] {
  const kind = TRANSPORTS.get(number as 6 | 17)
  if (kind === undefined || at + kind.leastBytes > bytes.length) return null
  const checksumAt = at + kind.checksumAt
  const hasChecksum = kind.protocol === 'tcp' || (bytes[checksumAt]! | bytes[checksumAt + 1]!) !== 0
  return { protocol: kind.protocol, at, checksumAt, hasChecksum }
}

/** What a checksum is made of, beside the fields: nothing where it is not to be written. */
export interface CompiledChecksum {
  readonly at: number
  /** RFC 1624, equation 3, up to the new values: of 16-bit little-endian words. */
  readonly sum: number
}

/** A template's checksums, and which fields go into which. */
export interface CompiledTemplate {
  readonly ip: CompiledChecksum | null
  readonly transport: (CompiledChecksum & { readonly isUdp: boolean }) | null
  readonly inIp: readonly boolean[]
  readonly inTransport: readonly boolean[]
}

const NO_CHECKSUM = { ip: null, transport: null }

/**
 * Works out how the checksums follow from the fields: new = ~(~old + ~before +
 * after) for each word that changes, so that what is right stays right, what is
 * wrong stays wrong, and a packet that was cut off needs no more than its headers.
 */
export function compileTemplate({ bytes, fields, stampAt }: Template): CompiledTemplate {
  const { ip, transport } = frameShape(bytes)
  if (ip === null) return { ...NO_CHECKSUM, inIp: fields.map(() => false), inTransport: fields.map(() => false) }
  const end = ip.at + ip.headerBytes
  const addressesAt = ip.at + (ip.version === 4 ? 12 : 8)
  const isInIp = (at: number) => ip.version === 4 && at >= ip.at && at < end
  const isInTransport = (at: number) =>
    transport?.hasChecksum === true && ((at >= addressesAt && at < end) || at >= transport.at)
  const inIp = fields.map(({ at }) => isInIp(at))
  const inTransport = fields.map(({ at }) => isInTransport(at))
  const replaced = (isIn: readonly boolean[]) => fields.filter((_, index) => isIn[index])
  return {
    ip: inIp.includes(true) ? { at: ip.at + 10, sum: sumWithout(bytes, ip.at + 10, replaced(inIp)) } : null,
    transport:
      transport?.hasChecksum === true && (inTransport.includes(true) || stampAt !== null)
        ? {
            at: transport.checksumAt,
            sum: sumWithout(bytes, transport.checksumAt, replaced(inTransport)),
            isUdp: transport.protocol === 'udp',
          }
        : null,
    inIp,
    inTransport,
  }
}

function sumWithout(bytes: Uint8Array, checksumAt: number, fields: readonly TemplateField[]): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const complement = (at: number) => view.getUint16(at, true) ^ 0xffff
  let sum = complement(checksumAt)
  for (const { at, bytes: width } of fields) {
    for (let half = at; half < at + width; half += 2) sum += complement(half)
  }
  return sum
}
