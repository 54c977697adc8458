/**
 * Messages of BGP-4 (RFC 4271, 4.1 to 4.4), of a speaker with an AS of two bytes:
 *
 *     0        16       18     19
 *     | marker | length | type | body
 */

const MARKER_BYTES = 16
const HEADER_BYTES = 19
const TYPES = { open: 1, update: 2, keepalive: 4 } as const
const VERSION = 4
const ORIGIN = [0x40, 1, 1, 0]
const AS_PATH = 2
const AS_SEQUENCE = 2
const NEXT_HOP = 3
const WELL_KNOWN = 0x40

/** A route to be told: to 10.0.0.0/8 and the like, by way of a neighbour, or no longer. */
export interface RouteUpdate {
  readonly prefix: Ipv4Prefix
  /** Null: withdrawn. */
  readonly via: Ipv4 | null
}

export type Ipv4 = readonly [number, number, number, number]
export interface Ipv4Prefix {
  readonly address: Ipv4
  readonly length: number
}

/** The first message of each side, without optional parameters (4.2). */
export function openMessage(as: number, holdSeconds: number, identifier: Ipv4): Uint8Array {
  return message('open', [VERSION, ...u16(as), ...u16(holdSeconds), ...identifier, 0])
}

export function keepaliveMessage(): Uint8Array {
  return message('keepalive', [])
}

/** One change of one route, from a neighbour of that AS (4.3). */
export function updateMessage(as: number, { prefix, via }: RouteUpdate): Uint8Array {
  const route = [prefix.length, ...prefix.address.slice(0, Math.ceil(prefix.length / 8))]
  if (via === null) return message('update', [...u16(route.length), ...route, 0, 0])
  const path = [WELL_KNOWN, AS_PATH, 4, AS_SEQUENCE, 1, ...u16(as)]
  const attributes = [...ORIGIN, ...path, WELL_KNOWN, NEXT_HOP, 4, ...via]
  return message('update', [0, 0, ...u16(attributes.length), ...attributes, ...route])
}

/** The type of the message that begins `bytes`, and its length; null while its header is not whole. */
export function readHeader(bytes: Uint8Array): { readonly type: string; readonly length: number } | null {
  if (bytes.length < HEADER_BYTES) return null
  const type = Object.entries(TYPES).find(([, number]) => number === bytes[HEADER_BYTES - 1])
  return { type: type?.[0] ?? `type ${bytes[HEADER_BYTES - 1]}`, length: (bytes[16]! << 8) | bytes[17]! }
}

function message(type: keyof typeof TYPES, body: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.length)
  bytes.fill(0xff, 0, MARKER_BYTES)
  bytes.set([...u16(bytes.length), TYPES[type], ...body], MARKER_BYTES)
  return bytes
}

function u16(value: number): number[] {
  return [value >> 8, value & 0xff]
}
