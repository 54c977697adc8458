import type { FlowKey } from '../flow/index.js'
import { IP_PROTOCOL } from '../wire/index.js'
import { FLOW, FLOW_BYTES, FLOW_KEY, FLOW_TRANSLATES, TRANSLATION } from './formats.js'
import type { CountedFlow, OffloadFlow, OffloadKey } from './tier.js'

/** Flows as they stand in the hashes of the driver. Ports are in network order, the other words in the machine's. */

/** The key of a flow, as bytes. */
export function encodeKey(key: OffloadKey): Uint8Array {
  const { family, protocol, source, destination, from } = key
  const places = FLOW_KEY[family]
  const bytes = new Uint8Array(places.bytes)
  const view = new DataView(bytes.buffer)
  bytes.set(source, 0)
  bytes.set(destination, places.destination)
  view.setUint16(places.ports, key.sourcePort)
  view.setUint16(places.ports + 2, key.destinationPort)
  view.setUint32(places.from, protocol | (from << 8), true)
  return bytes
}

function decodeKey(family: 4 | 6, bytes: Uint8Array): OffloadKey {
  const places = FLOW_KEY[family]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const from = view.getUint32(places.from, true)
  return {
    family,
    protocol: from & 0xff,
    source: bytes.slice(0, places.destination),
    destination: bytes.slice(places.destination, places.ports),
    sourcePort: view.getUint16(places.ports),
    destinationPort: view.getUint16(places.ports + 2),
    from: from >>> 8,
  }
}

/** What the driver is to do with the flow's packets, for the generation. */
export function encodeFlow(flow: OffloadFlow, generation: number): Uint8Array {
  const bytes = new Uint8Array(FLOW_BYTES[flow.key.family])
  const view = new DataView(bytes.buffer)
  view.setUint32(FLOW.out, flow.out, true)
  view.setUint16(FLOW.longest, Math.min(flow.longestBytes, 0xffff), true)
  bytes.set(flow.sourceMac, FLOW.macs)
  bytes.set(flow.destinationMac, FLOW.macs + flow.sourceMac.length)
  view.setUint32(FLOW.generation, generation, true)
  if (flow.translated !== undefined) encodeTranslation(bytes, flow.key, flow.translated)
  return bytes
}

function encodeTranslation(bytes: Uint8Array, key: OffloadKey, wanted: FlowKey): void {
  const places = TRANSLATION[key.family]
  const view = new DataView(bytes.buffer)
  view.setUint16(FLOW.flags, FLOW_TRANSLATES, true)
  bytes.set(wanted.source, places.source)
  bytes.set(wanted.destination, places.destination)
  view.setUint16(places.ports, wanted.sourcePort)
  view.setUint16(places.ports + 2, wanted.destinationPort)
  const addresses = changeOf(halves(key.source, key.destination), halves(wanted.source, wanted.destination))
  const ports = changeOf([key.sourcePort, key.destinationPort], [wanted.sourcePort, wanted.destinationPort])
  // A sum that is stored in the packet's order is right where it is added to in that order (RFC 1071, section 2 (B)).
  view.setUint16(places.transportChange, fold(addresses + ports))
  if ('headerChange' in places) view.setUint16(places.headerChange, fold(addresses))
}

/** The sum of ~old + new (RFC 1624, equation 3). */
function changeOf(before: readonly number[], after: readonly number[]): number {
  return before.reduce((sum, half, at) => sum + (half ^ 0xffff) + after[at]!, 0)
}

function halves(...addresses: readonly Uint8Array[]): number[] {
  return addresses.flatMap((address) =>
    Array.from({ length: address.length / 2 }, (_, half) => (address[half * 2]! << 8) | address[half * 2 + 1]!),
  )
}

function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16)
  return (once & 0xffff) + (once >>> 16)
}

/** An entry as it was read, with its generation. */
export interface ReadFlow extends CountedFlow {
  readonly generation: number
}

/** Reads a key and its value. */
export function decodeFlow(family: 4 | 6, key: Uint8Array, value: Uint8Array): ReadFlow {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  return {
    key: decodeKey(family, key),
    generation: view.getUint32(FLOW.generation, true),
    packets: Number(view.getBigUint64(FLOW.packets, true)),
    bytes: Number(view.getBigUint64(FLOW.bytes, true)),
  }
}

/** Whether packets of that protocol can be forwarded by flow. */
export function hasPorts(protocol: number): boolean {
  return protocol === IP_PROTOCOL.tcp || protocol === IP_PROTOCOL.udp
}
