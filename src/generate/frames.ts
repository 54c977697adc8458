import {
  addWords,
  ETHERNET,
  ETHERTYPE,
  foldChecksum,
  IP_PROTOCOL,
  IPV4,
  TCP,
  TCP_FLAG,
  UDP,
  write16,
  writeEthernet,
  writeIpv4,
} from '../wire/index.js'
import { type AmplifiedKind, ANSWERS } from './answers.js'
import { STAMP_BYTES } from './formats.js'
import type { WeightedSize } from './sizes.js'
import type { Template, TemplateField } from './template.js'

export type TrafficKind = 'udp' | 'syn' | 'fragments' | AmplifiedKind

/** `count` addresses from `first` on; of IPv6 the last 32 bits count. */
export interface AddressRange {
  /** 4 or 16 bytes. */
  readonly first: Uint8Array
  readonly count: number
}

export interface PortRange {
  readonly first: number
  readonly count: number
}

/** What the packets of a kind are made of, as a plain value. */
export interface FrameSpec {
  readonly kind: TrafficKind
  /** Six bytes each. */
  readonly sourceMac: Uint8Array
  readonly destinationMac: Uint8Array
  readonly sources: AddressRange
  readonly destinations: AddressRange
  /** Null for what the kind uses by itself: any port, or the server's. */
  readonly sourcePorts: PortRange | null
  readonly destinationPorts: PortRange | null
  /** Null for the kind's own. */
  readonly sizes: readonly WeightedSize[] | null
  /** Addresses and ports one after the other, each by itself, instead of drawn. */
  readonly isInTurn: boolean
}

/** What cannot be made: one sentence with why and what to do. */
export class FrameError extends Error {
  override name = 'FrameError'
}

const ANY_PORT: PortRange = { first: 1024, count: 64_512 }
const DISCARD_PORT: PortRange = { first: 9, count: 1 }
const HTTP_PORT: PortRange = { first: 80, count: 1 }
const IPV6_HEADER_BYTES = 40
const SMALLEST: readonly WeightedSize[] = [{ bytes: 60, weight: 1 }]

/** The templates of a kind, one for each size. Throws FrameError where the description cannot be a frame. */
export function frameTemplates(spec: FrameSpec): readonly Template[] {
  if (spec.sources.first.length !== spec.destinations.first.length)
    throw new FrameError('sources and destinations are of two families; give both as IPv4 or both as IPv6')
  const fields = fieldsOf(spec)
  if (spec.kind === 'fragments') return fragmentTemplates(spec, fields)
  return (spec.sizes ?? usualSizes(spec)).map(({ bytes, weight }) => {
    const frame = wholeFrame(spec, bytes)
    return { bytes: frame, fields, weight, ...stampOf(spec, frame) }
  })
}

function isIpv6({ sources }: FrameSpec): boolean {
  return sources.first.length === 16
}

function headerBytes(spec: FrameSpec): number {
  const ip = isIpv6(spec) ? IPV6_HEADER_BYTES : IPV4.headerBytes
  return ETHERNET.headerBytes + ip + (spec.kind === 'syn' ? TCP.headerBytes : UDP.headerBytes)
}

function answerOf({ kind }: FrameSpec) {
  return Object.hasOwn(ANSWERS, kind) ? ANSWERS[kind as AmplifiedKind] : null
}

function usualSizes(spec: FrameSpec): readonly WeightedSize[] {
  const answer = answerOf(spec)
  const bytes =
    answer === null ? Math.max(SMALLEST[0]!.bytes, headerBytes(spec)) : headerBytes(spec) + answer.usualBytes
  return [{ bytes, weight: 1 }]
}

function fieldsOf(spec: FrameSpec): readonly TemplateField[] {
  const { kind, sources, destinations, isInTurn } = spec
  const ip = ETHERNET.headerBytes
  const [sourceAt, destinationAt, transport] = isIpv6(spec)
    ? [ip + 20, ip + 36, ip + IPV6_HEADER_BYTES]
    : [ip + IPV4.source, ip + IPV4.destination, ip + IPV4.headerBytes]
  const answer = answerOf(spec)
  const sourcePorts = spec.sourcePorts ?? (answer === null ? ANY_PORT : { first: answer.port, count: 1 })
  const destinationPorts =
    spec.destinationPorts ?? (answer !== null ? ANY_PORT : kind === 'syn' ? HTTP_PORT : DISCARD_PORT)
  const field = (at: number, bytes: 2 | 4, first: number, count: number, inTurn = isInTurn): TemplateField => {
    return { at, bytes, first, count, isInTurn: inTurn }
  }
  const address = (at: number, { first, count }: AddressRange) => field(at, 4, lastWord(first), count)
  const fields = [address(sourceAt, sources), address(destinationAt, destinations)]
  if (kind === 'fragments') return [...fields, field(ip + IPV4.identification, 2, 0, 2 ** 16, false)]
  fields.push(field(transport, 2, sourcePorts.first, sourcePorts.count))
  fields.push(field(transport + 2, 2, destinationPorts.first, destinationPorts.count))
  if (kind === 'syn') fields.push(field(transport + TCP.sequence, 4, 0, 2 ** 32, false))
  if (answer !== null && answer.numberAt !== null)
    fields.push(field(transport + UDP.headerBytes + answer.numberAt, 2, 0, 2 ** 16, false))
  return fields
}

function lastWord(address: Uint8Array): number {
  return new DataView(address.buffer, address.byteOffset, address.byteLength).getUint32(address.length - 4)
}

/** A frame with right checksums. Of the smallest size, it may end before the frame does, which pads it. */
function wholeFrame(spec: FrameSpec, bytes: number): Uint8Array {
  const headers = headerBytes(spec)
  const isPadded = spec.kind === 'syn' && bytes === SMALLEST[0]!.bytes
  if (bytes < headers && !isPadded)
    throw new FrameError(`a ${spec.kind} packet needs ${headers} bytes for its headers; give no size below`)
  const frame = new Uint8Array(bytes)
  const end = isPadded ? Math.min(headers, bytes) : bytes
  const transport = writeNetwork(spec, frame, end)
  if (spec.kind === 'syn') writeSyn(frame, transport)
  else {
    write16(frame, transport + UDP.length, end - transport)
    const answer = answerOf(spec)
    if (answer !== null) frame.set(answer.payload(bytes - headers), headers)
  }
  sealTransport(spec, frame, transport, end)
  return frame
}

/** Ethernet and IP, with the first address of each range; gives where the transport begins. */
function writeNetwork(spec: FrameSpec, frame: Uint8Array, end: number): number {
  const { sources, destinations } = spec
  const ip = ETHERNET.headerBytes
  writeEthernet(frame, spec.destinationMac, spec.sourceMac, isIpv6(spec) ? ETHERTYPE.ipv6 : ETHERTYPE.ipv4)
  const protocol = spec.kind === 'syn' ? IP_PROTOCOL.tcp : IP_PROTOCOL.udp
  if (!isIpv6(spec)) {
    const header = { source: sources.first, destination: destinations.first, protocol, totalBytes: end - ip }
    writeIpv4(frame, ip, header)
    return ip + IPV4.headerBytes
  }
  // RFC 8200, section 3.
  frame[ip] = 0x60
  write16(frame, ip + 4, end - ip - IPV6_HEADER_BYTES)
  frame[ip + 6] = protocol
  frame[ip + 7] = 64
  frame.set(sources.first, ip + 8)
  frame.set(destinations.first, ip + 24)
  return ip + IPV6_HEADER_BYTES
}

function writeSyn(frame: Uint8Array, at: number): void {
  frame[at + TCP.dataOffset] = (TCP.headerBytes / 4) << 4
  frame[at + TCP.flags] = TCP_FLAG.syn
  write16(frame, at + TCP.window, 0xffff)
}

function sealTransport(spec: FrameSpec, frame: Uint8Array, transport: number, end: number): void {
  const isTcp = spec.kind === 'syn'
  const addresses = transport - 2 * spec.sources.first.length
  const protocol = isTcp ? IP_PROTOCOL.tcp : IP_PROTOCOL.udp
  const pseudo = addWords(protocol + end - transport, frame, addresses, transport)
  const checksum = foldChecksum(addWords(pseudo, frame, transport, end))
  write16(frame, transport + (isTcp ? TCP.checksum : UDP.checksum), checksum === 0 && !isTcp ? 0xffff : checksum)
}

/** UDP and SYN carry a stamp where their payload has room; answers are what they are. */
function stampOf(spec: FrameSpec, frame: Uint8Array): Pick<Template, 'stampAt' | 'unstamped'> {
  const headers = headerBytes(spec)
  if (answerOf(spec) !== null) return { stampAt: null }
  if (frame.length >= headers + STAMP_BYTES) return { stampAt: headers }
  return { stampAt: null, unstamped: 'no room in the payload' }
}

/** Bytes behind the IPv4 header, a multiple of 8, as more fragments follow. */
const FRAGMENT_BYTES = 1480
const MORE_FRAGMENTS = 0x2000

/**
 * First and second fragments, with identifications of their own, of datagrams
 * that never become whole: each of them keeps the receiver waiting.
 */
function fragmentTemplates(spec: FrameSpec, fields: readonly TemplateField[]): readonly Template[] {
  if (isIpv6(spec)) throw new FrameError('a fragment flood is IPv4 only; give IPv4 addresses')
  const ip = ETHERNET.headerBytes
  const transport = ip + IPV4.headerBytes
  return (spec.sizes ?? [{ bytes: transport + FRAGMENT_BYTES, weight: 1 }]).flatMap(({ bytes, weight }) => {
    const payload = Math.floor((bytes - transport) / 8) * 8
    return [0, FRAGMENT_BYTES].map((offset) => {
      const frame = new Uint8Array(Math.max(SMALLEST[0]!.bytes, transport + payload))
      writeNetwork(spec, frame, transport + payload)
      write16(frame, ip + IPV4.fragment, MORE_FRAGMENTS | (offset / 8))
      if (offset === 0) {
        const { first } = spec.destinationPorts ?? DISCARD_PORT
        write16(frame, transport, (spec.sourcePorts ?? ANY_PORT).first)
        write16(frame, transport + UDP.destinationPort, first)
        write16(frame, transport + UDP.length, 2 * FRAGMENT_BYTES)
      }
      write16(frame, ip + IPV4.checksum, 0)
      write16(frame, ip + IPV4.checksum, foldChecksum(addWords(0, frame, ip, transport)))
      return { bytes: frame, fields, weight, stampAt: null, unstamped: 'fragment' }
    })
  })
}
