import { addWords, foldChecksum, IPV4, TCP, UDP, write16 } from '../../src/wire/index.js'
import { headersOf, pseudoHeaderSum, read16 } from './flow-packet.js'

/** What has left GRO. */
export interface Grown {
  readonly bytes: Uint8Array
  /** Payload bytes of each segment where it is several packets, else 0. */
  readonly segmentBytes: number
  readonly hasFixedId: boolean
}

interface Waiting {
  readonly first: Uint8Array
  readonly parts: Uint8Array[]
  length: number
  hasFixedId: boolean
  lastFlags: number
}

/** IPv4 header, total and room of a frame of 64 KiB. */
const MOST_BYTES = 65_536 - 146
const ENDING = 0x2f

/**
 * The stage `gro`, plainly: packets of one round in, packets out, in order. It
 * holds any number of flows, so it agrees with the stage where no bucket
 * overflows: up to eight flows.
 */
export function plainGro(packets: readonly Uint8Array[]): Grown[] {
  const out: Grown[] = []
  const waiting: Waiting[] = []
  const end = (entry: Waiting) => {
    waiting.splice(waiting.indexOf(entry), 1)
    out.push(whole(entry))
  }
  for (const packet of packets) {
    const kind = classify(packet)
    if (kind === 'goes by') {
      out.push({ bytes: packet, segmentBytes: 0, hasFixedId: false })
      continue
    }
    const entry = waiting.find(({ first }) => flowKey(first) === flowKey(packet))
    const { payload, transport, isTcp } = headersOf(packet)
    const bytes = packet.length - payload
    const flags = isTcp ? packet[transport + TCP.flags]! : 0
    if (entry && kind === 'may wait' && follows(entry, packet)) {
      const segment = entry.first.length - headersOf(entry.first).payload
      entry.parts.push(packet.slice(payload))
      entry.length += bytes
      entry.lastFlags |= flags & 0x09
      const isFull = !isTcp && entry.parts.length + 1 >= 64
      if (bytes !== segment || flags & ENDING || isFull) end(entry)
      continue
    }
    if (entry) end(entry)
    if (kind === 'alone' || (isTcp && (bytes === 0 || flags & ENDING))) {
      out.push({ bytes: packet, segmentBytes: 0, hasFixedId: false })
    } else waiting.push({ first: packet, parts: [], length: packet.length, hasFixedId: false, lastFlags: 0 })
  }
  return [...out, ...waiting.map(whole)]
}

function classify(packet: Uint8Array): 'goes by' | 'alone' | 'may wait' {
  const { network, transport, payload, isTcp } = headersOf(packet)
  const isIpv4 = packet[network]! >> 4 === 4
  if (isIpv4) {
    if (packet[network] !== 0x45 || read16(packet, network + IPV4.fragment) & 0x3fff) return 'goes by'
    if (foldChecksum(addWords(0, packet, network, transport)) !== 0) return 'goes by'
  }
  if (isTcp ? packet.length < transport + 20 || payload < transport + 20 || payload > packet.length : false)
    return 'goes by'
  if (!isTcp && read16(packet, transport + UDP.checksum) === 0) return 'goes by'
  const said = isIpv4 ? read16(packet, network + IPV4.totalLength) : 40 + read16(packet, network + 4)
  const length = packet.length - transport
  if (!isTcp && (read16(packet, transport + UDP.length) !== length || length <= 8)) return 'goes by'
  if (said !== packet.length - network || (isIpv4 && packet[network + IPV4.fragment]! & 0x80)) return 'alone'
  const sum = addWords(pseudoHeaderSum(packet, network, isTcp, length), packet, transport)
  return foldChecksum(sum) === 0 ? 'may wait' : 'goes by'
}

/** Everything that packets of one flow have in common, as text. */
function flowKey(packet: Uint8Array): string {
  const { network, transport } = headersOf(packet)
  const text = (start: number, end: number) => Buffer.from(packet.slice(start, end)).toString('hex')
  const ports = text(transport, transport + 4)
  if (packet[network]! >> 4 === 4)
    return `${text(0, network)} ${packet[network + 9]} ${text(network + 12, network + 20)} ${ports}`
  const label = (new DataView(packet.buffer).getUint32(network) & 0xf00f_ffff) >>> 0
  return `${text(0, network)} ${label} ${packet[network + 6]} ${text(network + 8, transport)} ${ports}`
}

function follows(entry: Waiting, packet: Uint8Array): boolean {
  const { first, parts } = entry
  const { network, transport, payload, isTcp } = headersOf(first)
  const mine = headersOf(packet)
  const bytes = packet.length - mine.payload
  if (!isLikeNetwork(entry, packet, network)) return false
  const segment = first.length - payload
  if (bytes > segment || bytes === 0) return false
  if (isTcp) {
    const [one, other] = [new DataView(first.buffer), new DataView(packet.buffer)]
    const sent = parts.reduce((sum, part) => sum + part.length, segment)
    if ((one.getUint32(transport + TCP.sequence) + sent) >>> 0 !== other.getUint32(transport + TCP.sequence))
      return false
    if (one.getUint32(transport + 8) !== other.getUint32(transport + 8)) return false
    if ((one.getUint32(transport + 12) ^ other.getUint32(transport + 12)) & ~0x0009_0000) return false
    if (packet[mine.transport + TCP.flags]! & 0x80) return false
    for (let at = transport + 20; at < payload; at++) if (first[at] !== packet[at]) return false
  }
  return entry.length + bytes <= Math.min(MOST_BYTES, network + 65_535)
}

function isLikeNetwork(entry: Waiting, packet: Uint8Array, network: number): boolean {
  const { first, parts } = entry
  const differs = (at: number, mask = 0xff) => ((first[network + at]! ^ packet[network + at]!) & mask) !== 0
  if (first[network]! >> 4 === 6) return !(differs(0) || differs(1, 0xf0) || differs(7))
  if (differs(1) || differs(IPV4.timeToLive) || differs(IPV4.fragment, 0x40)) return false
  const [one, other] = [first, packet].map((bytes) => read16(bytes, network + IPV4.identification))
  const step = (other! - one!) & 0xffff
  if (parts.length === 0 && step === 0) entry.hasFixedId = true
  return step === (entry.hasFixedId ? 0 : parts.length + 1)
}

function whole({ first, parts, hasFixedId, lastFlags }: Waiting): Grown {
  const { network, transport, payload, isTcp } = headersOf(first)
  if (parts.length === 0) return { bytes: first, segmentBytes: 0, hasFixedId: false }
  const bytes = Uint8Array.from(Buffer.concat([first, ...parts]))
  const isIpv4 = first[network]! >> 4 === 4
  if (isIpv4) {
    write16(bytes, network + IPV4.totalLength, bytes.length - network)
    write16(bytes, network + IPV4.checksum, 0)
    write16(bytes, network + IPV4.checksum, foldChecksum(addWords(0, bytes, network, network + 20)))
  } else write16(bytes, network + 4, bytes.length - network - 40)
  const length = bytes.length - transport
  if (isTcp) bytes[transport + TCP.flags]! |= lastFlags
  else write16(bytes, transport + UDP.length, length)
  const partial = ~foldChecksum(pseudoHeaderSum(bytes, network, isTcp, length)) & 0xffff
  write16(bytes, transport + (isTcp ? TCP.checksum : UDP.checksum), partial)
  return { bytes, segmentBytes: first.length - payload, hasFixedId: isIpv4 && hasFixedId }
}
