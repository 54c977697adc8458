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

/** What of a capture goes into one range: each distinct value has a place, in the order in which they come. */
interface Side {
  readonly what: string
  readonly range: AddressRange | PortRange | null
  readonly places: Map<string, number>
}

function place({ places, range }: Side, value: string): void {
  if (range !== null && !places.has(value)) places.set(value, places.size)
}

type Ip = NonNullable<FrameShape['ip']>

function openSides(variation: Variation) {
  const side = (what: string, range: Side['range']): Side => ({ what, range, places: new Map() })
  const near = {
    addresses: side('source addresses', variation.sources),
    ports: side('source ports', variation.sourcePorts),
  }
  const far = {
    addresses: side('destination addresses', variation.destinations),
    ports: side('destination ports', variation.destinationPorts),
  }
  const all = [near.addresses, near.ports, far.addresses, far.ports]
  const width = (variation.sources ?? variation.destinations)?.first.length
  /** Of each two addresses, the one that spoke first. */
  const speakers = new Map<string, string>()

  /** The two ends of a packet, each with the side that it is of; null for what is not varied. */
  const endsOf = (bytes: Uint8Array) => {
    const { ip, transport } = frameShape(bytes)
    if (ip === null || ip.addressBytes !== width) return null
    const [source, destination] = [addressIn(bytes, ip.sourceAt, ip), addressIn(bytes, ip.destinationAt, ip)]
    const pair = source < destination ? source + destination : destination + source
    const speaker = speakers.get(pair) ?? source
    speakers.set(pair, speaker)
    const [from, to] = speaker === source ? [near, far] : [far, near]
    return { ip, transport, source, destination, from, to }
  }

  return {
    learn(bytes: Uint8Array): void {
      const ends = endsOf(bytes)
      if (ends === null) return
      place(ends.from.addresses, ends.source)
      place(ends.to.addresses, ends.destination)
      for (const { side: of, value } of portsOf(bytes, ends, near.ports)) place(of, value)
    },
    /** Everything has been learned: gives the fields of a packet, and writes into it what all rounds have. */
    close() {
      const ranges = new Map(all.filter(({ range }) => range !== null).map((each) => [each, rangeOf(each)]))
      const lists = new Map<string, readonly TemplateField[]>()
      return (bytes: Uint8Array): readonly TemplateField[] | null => {
        const ends = endsOf(bytes)
        if (ends === null) return null
        const fields = [
          addressField(bytes, ends.ip.sourceAt, ends.ip, ends.from.addresses, ends.source, ranges),
          addressField(bytes, ends.ip.destinationAt, ends.ip, ends.to.addresses, ends.destination, ranges),
          ...portsOf(bytes, ends, near.ports).map(({ at, side: of, value }) => fieldIn(at, 2, of, value, ranges)),
        ].filter((field) => field !== null)
        return shared(lists, fields, ends)
      }
    },
    merged: () =>
      all.flatMap(({ what, range, places }) =>
        range !== null && places.size > range.count ? [{ what, found: places.size, given: range.count }] : [],
      ),
  }
}

type Ends = {
  readonly ip: Ip
  readonly transport: TransportShape | null
  readonly from: { readonly ports: Side }
  readonly to: { readonly ports: Side }
}

function addressIn(bytes: Uint8Array, at: number, { addressBytes }: Ip): string {
  return String.fromCharCode(...bytes.subarray(at, at + addressBytes))
}

/** The two ports, or the number of an echo, which is that of whoever spoke first. */
function portsOf(bytes: Uint8Array, { transport, from, to }: Ends, echoes: Side) {
  if (transport === null) return []
  const { at, protocol, isEcho } = transport
  const port = (offset: number, of: Side) => {
    return { at: at + offset, side: of, value: String((bytes[at + offset]! << 8) | bytes[at + offset + 1]!) }
  }
  if (protocol === 'icmp') return isEcho ? [port(4, echoes)] : []
  return [port(0, from.ports), port(2, to.ports)]
}

function rangeOf({ range, places }: Side): RoundRange {
  return { count: range!.count, step: Math.max(1, places.size) }
}

function addressField(
  bytes: Uint8Array,
  at: number,
  { addressBytes }: Ip,
  side: Side,
  value: string,
  ranges: ReadonlyMap<Side, RoundRange>,
): TemplateField | null {
  if (side.range === null) return null
  const { first } = side.range as AddressRange
  const head = first.subarray(0, addressBytes - 4)
  if (head.length > 0) patch(bytes, at, head)
  return fieldIn(at + head.length, 4, side, value, ranges)
}

function fieldIn(
  at: number,
  width: 2 | 4,
  side: Side,
  value: string,
  ranges: ReadonlyMap<Side, RoundRange>,
): TemplateField | null {
  const range = ranges.get(side)
  if (range === undefined) return null
  const { first, count } = side.range!
  const least = typeof first === 'number' ? first : lastWord(first)
  return { at, bytes: width, first: least, count, isInTurn: false, inRound: { range, index: side.places.get(value)! } }
}

function lastWord(address: Uint8Array): number {
  return new DataView(address.buffer, address.byteOffset, address.byteLength).getUint32(address.length - 4)
}

/** Packets of a flow that are built alike share one list, also of what their checksums are made of. */
function shared(
  lists: Map<string, readonly TemplateField[]>,
  fields: readonly TemplateField[],
  { ip, transport }: Ends,
): readonly TemplateField[] {
  const shape = [ip.at, transport?.checksumAt, transport?.hasChecksum, transport?.coversAddresses]
  const key = [...shape, ...fields.map(({ at, first, inRound }) => `${at}:${first}:${inRound!.index}`)].join()
  const known = lists.get(key) ?? fields
  lists.set(key, known)
  return known
}
