import { ETHERNET } from '../wire/index.js'
import { type FrameShape, frameShape, type TransportShape } from './frame-shape.js'
import type { AddressRange, PortRange } from './frames.js'
import { rangesOf, stepsOf } from './plan-tables.js'
import { patch, type RoundRange, type Template, type TemplateField } from './template.js'
import { stampPlace } from './unstamped.js'

/** A packet of a capture, as it is on the wire. */
export interface CapturedPacket {
  readonly bytes: Uint8Array
  /** False where it was cut off when it was captured. */
  readonly isWhole: boolean
  /** Until the next packet. */
  readonly gapNs: number
}

/** What becomes of the packets of a capture; null for what stays as it is. */
export interface Variation {
  /** Of those who speak first, of each two in the capture: their addresses, their ports and numbers of their echos. */
  readonly sources: AddressRange | null
  readonly sourcePorts: PortRange | null
  /** Of those whom they speak to; of the same family. */
  readonly destinations: AddressRange | null
  readonly destinationPorts: PortRange | null
  readonly sourceMac: Uint8Array | null
  readonly destinationMac: Uint8Array | null
  /** Whether payloads that have room are written over with stamps. */
  readonly isStamped: boolean
}

/** Templates, and what the operator should know of them. */
export interface VariedCapture {
  readonly templates: readonly Template[]
  /** Packets that keep their addresses, because they are of another family or no IP packets. */
  readonly kept: number
  /** How many rounds of all packets there are until flows come again; 1 where nothing varies. */
  readonly rounds: number
  /** What there is more of in the capture than in the range for it, so that several become one. */
  readonly merged: readonly { readonly what: string; readonly found: number; readonly given: number }[]
}

/**
 * Makes templates of a capture's packets, in their order. An address becomes one
 * of its range by its place among the addresses of its side, a port likewise, so
 * that packets of a flow, and of its other direction, stay together; in the next
 * round of the capture they are the next ones of the range. Checksums follow.
 */
export function varyCapture(packets: readonly CapturedPacket[], variation: Variation): VariedCapture {
  const sides = openSides(variation)
  for (const { bytes } of packets) sides.learn(bytes)
  const fieldsOf = sides.close()
  const isVaried = variation.sources !== null || variation.destinations !== null
  let kept = 0
  const templates = packets.map((packet): Template => {
    const bytes = rewritten(packet.bytes, variation)
    const fields = fieldsOf(bytes)
    if (fields === null && isVaried) kept++
    const place = variation.isStamped ? stampPlace(bytes, packet.isWhole) : null
    return {
      bytes,
      fields: fields ?? NO_FIELDS,
      stampAt: typeof place === 'number' ? place : null,
      ...(typeof place === 'string' ? { unstamped: place } : {}),
      weight: 1,
      gapNs: packet.gapNs,
    }
  })
  const rounds = rangesOf(templates).reduce((product, range) => product * stepsOf(range), 1)
  return { templates, kept, rounds, merged: sides.merged() }
}

const NO_FIELDS: readonly TemplateField[] = []

function rewritten(bytes: Uint8Array, { sourceMac, destinationMac }: Variation): Uint8Array {
  const copy = Uint8Array.from(bytes)
  if (copy.length < ETHERNET.headerBytes) return copy
  if (destinationMac !== null) copy.set(destinationMac, ETHERNET.destination)
  if (sourceMac !== null) copy.set(sourceMac, ETHERNET.source)
  return copy
}

/** An address or a port as the key of a table. */
type Value = string | number

/** What of a capture goes into one range: each distinct value has a place, in the order in which they come. */
interface Side {
  readonly what: string
  readonly range: AddressRange | PortRange | null
  readonly places: Map<Value, number>
  /** By offset in the packet and place: packets share them, of which there may be a million. */
  readonly fields: Map<number, TemplateField[]>
  /** When all values are known. */
  round: RoundRange | null
}

function openSide(what: string, range: Side['range']): Side {
  return { what, range, places: new Map(), fields: new Map(), round: null }
}

type Ip = NonNullable<FrameShape['ip']>

/** A packet's two ends, each with the sides that it is of. */
interface Ends {
  readonly ip: Ip
  readonly transport: TransportShape | null
  readonly source: Value
  readonly destination: Value
  readonly from: Peer
  readonly to: Peer
}

interface Peer {
  readonly addresses: Side
  readonly ports: Side
}

function openSides(variation: Variation) {
  const near: Peer = {
    addresses: openSide('source addresses', variation.sources),
    ports: openSide('source ports', variation.sourcePorts),
  }
  const far: Peer = {
    addresses: openSide('destination addresses', variation.destinations),
    ports: openSide('destination ports', variation.destinationPorts),
  }
  const all = [near.addresses, near.ports, far.addresses, far.ports]
  const endsOf = readerOfEnds(variation, near, far)
  const lists = new Map<string, readonly TemplateField[]>()
  return {
    learn(bytes: Uint8Array): void {
      const ends = endsOf(bytes)
      if (ends === null) return
      for (const { side, value } of placesIn(bytes, ends, near))
        if (!side.places.has(value)) side.places.set(value, side.places.size)
    },
    /** Everything has been learned: gives the fields of a packet, and writes into it what all rounds have. */
    close() {
      for (const side of all)
        if (side.range !== null) side.round = { count: side.range.count, step: Math.max(1, side.places.size) }
      return (bytes: Uint8Array): readonly TemplateField[] | null => {
        const ends = endsOf(bytes)
        if (ends === null) return null
        const places = placesIn(bytes, ends, near)
        writeHeads(bytes, ends)
        return sharedFields(lists, ends, places)
      }
    },
    merged: () =>
      all.flatMap(({ what, range, places }) =>
        range !== null && places.size > range.count ? [{ what, found: places.size, given: range.count }] : [],
      ),
  }
}

/** Says of a packet who is who: of each two addresses the one that is seen first as a source is near. */
function readerOfEnds({ sources, destinations }: Variation, near: Peer, far: Peer) {
  const width = (sources ?? destinations)?.first.length
  const speakers = new Map<string, Value>()
  return (bytes: Uint8Array): Ends | null => {
    const { ip, transport } = frameShape(bytes)
    if (ip === null || ip.addressBytes !== width) return null
    const [source, destination] = [addressIn(bytes, ip.sourceAt, ip), addressIn(bytes, ip.destinationAt, ip)]
    const pair = source < destination ? `${source} ${destination}` : `${destination} ${source}`
    const speaker = speakers.get(pair)
    if (speaker === undefined) speakers.set(pair, source)
    const [from, to] = speaker === undefined || speaker === source ? [near, far] : [far, near]
    return { ip, transport, source, destination, from, to }
  }
}

function addressIn(bytes: Uint8Array, at: number, { addressBytes }: Ip): Value {
  const word = (offset: number) => wordIn(bytes, at + offset)
  return addressBytes === 4 ? word(0) : `${word(0)}:${word(4)}:${word(8)}:${word(12)}`
}

function wordIn(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

/** A value of a packet that is to be another one: where it stands, of how many bytes, and of which side it is. */
interface Placed {
  readonly at: number
  readonly bytes: 2 | 4
  readonly side: Side
  readonly value: Value
}

/** Addresses, of which the last 32 bits vary; ports, or the number of an echo, which is that of whoever spoke first. */
function placesIn(bytes: Uint8Array, { ip, transport, source, destination, from, to }: Ends, near: Peer): Placed[] {
  const places: Placed[] = []
  const add = (at: number, width: 2 | 4, side: Side, value: Value) => {
    if (side.range !== null) places.push({ at, bytes: width, side, value })
  }
  const port = (at: number, side: Side) => add(at, 2, side, (bytes[at]! << 8) | bytes[at + 1]!)
  add(ip.sourceAt + ip.addressBytes - 4, 4, from.addresses, source)
  add(ip.destinationAt + ip.addressBytes - 4, 4, to.addresses, destination)
  if (transport === null) return places
  if (transport.isEcho) port(transport.at + 4, near.ports)
  if (transport.protocol === 'icmp') return places
  port(transport.at, from.ports)
  port(transport.at + 2, to.ports)
  return places
}

/** What stands in front of the last 32 bits of an IPv6 address is the same for the whole range. */
function writeHeads(bytes: Uint8Array, { ip, from, to }: Ends): void {
  if (ip.addressBytes === 4) return
  for (const [at, { range }] of [
    [ip.sourceAt, from.addresses],
    [ip.destinationAt, to.addresses],
  ] as const)
    if (range !== null) patch(bytes, at, (range as AddressRange).first.subarray(0, ip.addressBytes - 4))
}

/** Packets of a flow that are built alike share one list, also of what their checksums are made of. */
function sharedFields(
  lists: Map<string, readonly TemplateField[]>,
  { ip, transport }: Ends,
  places: readonly Placed[],
): readonly TemplateField[] {
  const shape = `${ip.at} ${transport?.at} ${transport?.protocol} ${transport?.hasChecksum}`
  const key = places.reduce((text, { side, value }) => `${text} ${side.what}${side.places.get(value)}`, shape)
  const known = lists.get(key)
  if (known !== undefined) return known
  const fields = places.map(fieldOf)
  lists.set(key, fields)
  return fields
}

function fieldOf({ at, bytes, side, value }: Placed): TemplateField {
  const index = side.places.get(value)!
  const fields = side.fields.get(at) ?? []
  side.fields.set(at, fields)
  const known = fields[index]
  if (known !== undefined) return known
  const { first, count } = side.range!
  const least = typeof first === 'number' ? first : wordIn(first, first.length - 4)
  const inRound = { range: side.round!, index }
  const field: TemplateField = { at, bytes, first: least, count, isInTurn: false, inRound }
  fields[index] = field
  return field
}
