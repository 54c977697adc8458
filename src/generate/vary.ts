import { ETHERNET } from '../wire/index.js'
import { type FrameShape, frameShape, type TransportShape } from './frame-shape.js'
import type { AddressRange, PortRange } from './frames.js'
import { numberPairs, type PairNumbers } from './number-pairs.js'
import { stepsOf } from './plan-tables.js'
import { patch, type Template, type TemplateField } from './template.js'
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
  const lists = packets.map(({ bytes }) => sides.fieldsOf(bytes))
  sides.close()
  const isVaried = variation.sources !== null || variation.destinations !== null
  const rewritten = rewriter(variation)
  let kept = 0
  const templates = packets.map((packet, index): Template => {
    const bytes = rewritten(packet.bytes)
    const fields = lists[index]!
    if (fields !== null) sides.writeHeads(bytes, fields)
    else if (isVaried) kept++
    const place = variation.isStamped ? stampPlace(bytes, packet.isWhole) : null
    return {
      bytes,
      fields: fields ?? NO_FIELDS,
      stampAt: typeof place === 'number' ? place : null,
      unstamped: typeof place === 'string' ? place : undefined,
      weight: 1,
      gapNs: packet.gapNs,
    }
  })
  return { templates, kept, rounds: sides.rounds(), merged: sides.merged() }
}

const NO_FIELDS: readonly TemplateField[] = []
const COPIES_BYTES = 1 << 20

/** Copies packets with other hardware addresses, many into one buffer: one for each took most of the time of a million. */
function rewriter({ sourceMac, destinationMac }: Variation) {
  let [buffer, at] = [new Uint8Array(0), 0]
  return (bytes: Uint8Array): Uint8Array => {
    if (buffer.length - at < bytes.length) [buffer, at] = [new Uint8Array(Math.max(COPIES_BYTES, bytes.length)), 0]
    const copy = buffer.subarray(at, at + bytes.length)
    at += bytes.length
    copy.set(bytes)
    if (copy.length < ETHERNET.headerBytes) return copy
    if (destinationMac !== null) copy.set(destinationMac, ETHERNET.destination)
    if (sourceMac !== null) copy.set(sourceMac, ETHERNET.source)
    return copy
  }
}

/** What of a capture goes into one range: each distinct value has a place, in the order in which they come. */
interface Side {
  readonly what: string
  readonly range: AddressRange | PortRange | null
  /** By the number of an address, or by port. */
  readonly places: Map<number, number>
  /** By offset in the packet and place: packets share them, of which there may be a million. */
  readonly fields: Map<number, TemplateField[]>
  /** Its step is known when all values are. */
  readonly round: { readonly count: number; step: number }
}

function openSide(what: string, range: Side['range']): Side {
  return { what, range, places: new Map(), fields: new Map(), round: { count: range?.count ?? 0, step: 1 } }
}

/** Of one end of a flow. */
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
  const width = (variation.sources ?? variation.destinations)?.first.length
  const heads = new Map([near, far].map(({ addresses: { round, range } }) => [round, headOf(range)]))
  const addresses = openAddresses()
  const [pairs, shapes] = [numberPairs(), numberPairs()]
  /** By number of a pair: whether its source is near, because it is seen before the other as one. */
  const areOut: boolean[] = []
  /** By number of a shape: flows, and by their numbers what varies of them. */
  const shaped: { readonly flows: PairNumbers; readonly lists: TemplateField[][] }[] = []

  /** Says of two addresses, by number, which they are in this order. */
  function pairOf(source: number, destination: number): number {
    const pair = pairs.numberOf(source, destination)
    if (pair === areOut.length) areOut.push(source === destination || !pairs.has(destination, source))
    return pair
  }

  return {
    /** What varies of a packet, the same list for packets of a flow that are built alike; null where it is of another family, or none. */
    fieldsOf(bytes: Uint8Array): readonly TemplateField[] | null {
      const { ip, transport } = frameShape(bytes)
      if (ip === null || ip.addressBytes !== width) return null
      const source = addresses.numberOf(bytes, ip.sourceAt, ip.addressBytes)
      const destination = addresses.numberOf(bytes, ip.destinationAt, ip.addressBytes)
      const pair = pairOf(source, destination)
      const shape = shapes.numberOf(shapeBits(ip, transport), ip.at * 2 ** 16 + (transport?.at ?? 0))
      if (shape === shaped.length) shaped.push({ flows: numberPairs(), lists: [] })
      const { flows, lists } = shaped[shape]!
      const flow = flows.numberOf(pair, portsIn(bytes, transport))
      if (flow < lists.length) return lists[flow]!
      const [from, to] = areOut[pair] ? [near, far] : [far, near]
      const fields = fieldsIn(bytes, { ip, transport, source, destination, from, to }, near)
      lists.push(fields)
      return fields
    },
    /** All packets have been seen. */
    close() {
      for (const { round, places } of all) round.step = Math.max(1, places.size)
    },
    /** What stands in front of the last 32 bits of an IPv6 address is the same for the whole range. */
    writeHeads(bytes: Uint8Array, fields: readonly TemplateField[]): void {
      if (width !== 16) return
      for (const { at, inRound } of fields) {
        const head = heads.get(inRound!.range)
        if (head !== undefined) patch(bytes, at - head.length, head)
      }
    },
    rounds: () => all.reduce((product, { places, round }) => (places.size > 0 ? product * stepsOf(round) : product), 1),
    merged: () =>
      all.flatMap(({ what, range, places }) =>
        range !== null && places.size > range.count ? [{ what, found: places.size, given: range.count }] : [],
      ),
  }
}

function headOf(range: Side['range']): Uint8Array {
  return range === null || typeof range.first === 'number' ? new Uint8Array(0) : range.first.subarray(0, -4)
}

/** Numbers addresses, word by word. */
function openAddresses() {
  const words = [numberPairs(), numberPairs(), numberPairs(), numberPairs()]
  return {
    numberOf(bytes: Uint8Array, at: number, addressBytes: number): number {
      let number = 0
      for (let word = 0; word < addressBytes / 4; word++)
        number = words[word]!.numberOf(number, wordIn(bytes, at + word * 4))
      return number
    },
  }
}

function wordIn(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

type Ip = NonNullable<FrameShape['ip']>

const PROTOCOLS = ['tcp', 'udp', 'icmp', 'other'] as const

/** What of a packet's build, beside places, decides over its fields and what its checksums are made of. */
function shapeBits(ip: Ip, transport: TransportShape | null): number {
  // A header that is said to end before its addresses has none of them in its checksum.
  const isWhole = ip.headerBytes >= 20 ? 1 : 0
  if (transport === null) return isWhole
  const { protocol, hasChecksum, isEcho } = transport
  return isWhole | (hasChecksum ? 2 : 0) | (isEcho ? 4 : 0) | ((1 + PROTOCOLS.indexOf(protocol)) << 3)
}

/** Both ports, or the number of an echo, as a word. */
function portsIn(bytes: Uint8Array, transport: TransportShape | null): number {
  if (transport === null) return 0
  if (transport.protocol !== 'icmp') return wordIn(bytes, transport.at)
  return transport.isEcho ? portIn(bytes, transport.at + 4) : 0
}

function portIn(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/** A packet's two ends: addresses by number, and the sides that each is of. */
interface Ends {
  readonly ip: Ip
  readonly transport: TransportShape | null
  readonly source: number
  readonly destination: number
  readonly from: Peer
  readonly to: Peer
}

/** Addresses, of which the last 32 bits vary; ports, or the number of an echo, which is that of whoever spoke first. */
function fieldsIn(
  bytes: Uint8Array,
  { ip, transport, source, destination, from, to }: Ends,
  near: Peer,
): TemplateField[] {
  const fields: TemplateField[] = []
  const add = (at: number, width: 2 | 4, side: Side, value: number) => {
    if (side.range !== null) fields.push(fieldOf(at, width, side, side.range, value))
  }
  const port = (at: number, side: Side) => add(at, 2, side, portIn(bytes, at))
  add(ip.sourceAt + ip.addressBytes - 4, 4, from.addresses, source)
  add(ip.destinationAt + ip.addressBytes - 4, 4, to.addresses, destination)
  if (transport === null) return fields
  if (transport.isEcho) port(transport.at + 4, near.ports)
  if (transport.protocol === 'icmp') return fields
  port(transport.at, from.ports)
  port(transport.at + 2, to.ports)
  return fields
}

function fieldOf(
  at: number,
  bytes: 2 | 4,
  { places, fields: byOffset, round }: Side,
  { first, count }: AddressRange | PortRange,
  value: number,
): TemplateField {
  const index = places.get(value) ?? places.size
  places.set(value, index)
  const fields = byOffset.get(at) ?? []
  byOffset.set(at, fields)
  const known = fields[index]
  if (known !== undefined) return known
  const least = typeof first === 'number' ? first : wordIn(first, first.length - 4)
  const field: TemplateField = { at, bytes, first: least, count, isInTurn: false, inRound: { range: round, index } }
  fields[index] = field
  return field
}
