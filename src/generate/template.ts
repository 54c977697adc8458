import { foldChecksum } from '../wire/index.js'
import { STAMP_BYTES } from './formats.js'
import { frameShape } from './frame-shape.js'
import type { Unstamped } from './unstamped.js'

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
  /** The same for a whole round of all templates, and another in the next, instead; where templates come in turn. */
  readonly inRound?: { readonly range: RoundRange; readonly index: number }
}

/**
 * Values that templates share out among themselves: `step` of them in a round,
 * of which a field has the one at its `index`, and the next `step` in the round
 * behind it. One object is one range, whatever fields are of it.
 */
export interface RoundRange {
  readonly count: number
  readonly step: number
}

/** A packet to be sent again and again, as a plain value. Its checksums are kept right where they are right. */
export interface Template {
  readonly bytes: Uint8Array
  readonly fields: readonly TemplateField[]
  /** Where the payload has room for a stamp; null for none. */
  readonly stampAt: number | null
  /** Why it has none; by default because its payload is kept. */
  readonly unstamped?: Unstamped | undefined
  /** How often it is chosen, beside the others; a whole number. */
  readonly weight: number
  /** Until the next packet is due, where arrivals are `recorded`. */
  readonly gapNs?: number
}

/** What a checksum is made of, beside the fields: nothing where it is not to be written. */
export interface CompiledChecksum {
  readonly at: number
  /** RFC 1624, equation 3, up to the new values: of 16-bit little-endian words. */
  readonly sum: number
}

/** A template's checksums, and which of them a field at an offset goes into. */
export interface CompiledTemplate {
  readonly ip: CompiledChecksum | null
  readonly transport: (CompiledChecksum & { readonly isUdp: boolean }) | null
  isInIp(at: number): boolean
  isInTransport(at: number): boolean
}

const NO_CHECKSUM: CompiledTemplate = {
  ip: null,
  transport: null,
  isInIp: () => false,
  isInTransport: () => false,
}

/**
 * Works out how the checksums follow from the fields: new = ~(~old + ~before +
 * after) for each word that changes, so that what is right stays right, what is
 * wrong stays wrong, and a packet that was cut off needs no more than its headers.
 */
export function compileTemplate({ bytes, fields, stampAt }: Template): CompiledTemplate {
  const { ip, transport } = frameShape(bytes)
  if (ip === null) return NO_CHECKSUM
  const isAddress = (at: number) => at >= ip.sourceAt && at < ip.destinationAt + ip.addressBytes
  const isInIp = (at: number) => ip.version === 4 && at >= ip.at && at < ip.at + ip.headerBytes
  const isInTransport = (at: number) =>
    transport?.hasChecksum === true && ((transport.coversAddresses && isAddress(at)) || at >= transport.at)
  const isSummed = transport?.hasChecksum === true && (stampAt !== null || isAnyIn(fields, isInTransport))
  return {
    ip: isAnyIn(fields, isInIp) ? { at: ip.at + 10, sum: sumWithout(bytes, ip.at + 10, fields, isInIp) } : null,
    transport: isSummed
      ? {
          at: transport.checksumAt,
          sum:
            sumWithout(bytes, transport.checksumAt, fields, isInTransport) +
            (stampAt === null ? 0 : complementsIn(bytes, stampAt, STAMP_BYTES)),
          isUdp: transport.protocol === 'udp',
        }
      : null,
    isInIp,
    isInTransport,
  }
}

// Loops, and no lists: a capture has up to a million templates.
function isAnyIn(fields: readonly TemplateField[], isIn: (at: number) => boolean): boolean {
  for (const { at } of fields) if (isIn(at)) return true
  return false
}

function sumWithout(
  bytes: Uint8Array,
  checksumAt: number,
  fields: readonly TemplateField[],
  isIn: (at: number) => boolean,
): number {
  let sum = complementsIn(bytes, checksumAt, 2)
  for (const { at, bytes: width } of fields) if (isIn(at)) sum += complementsIn(bytes, at, width)
  return sum
}

/** Of 16-bit little-endian words. */
function complementsIn(bytes: Uint8Array, at: number, lengthBytes: number): number {
  let sum = 0
  for (let half = at; half < at + lengthBytes; half += 2) sum += (bytes[half]! | (bytes[half + 1]! << 8)) ^ 0xffff
  return sum
}

/**
 * Writes bytes into a packet once and for all, of an even number at an even
 * offset from its headers, and corrects its checksums in the same way.
 */
export function patch(bytes: Uint8Array, at: number, value: Uint8Array): void {
  const fields = Array.from({ length: value.length / 2 }, (_, half): TemplateField => {
    return { at: at + half * 2, bytes: 2, first: 0, count: 1, isInTurn: false }
  })
  const { ip, transport, isInIp, isInTransport } = compileTemplate({ bytes, fields, stampAt: null, weight: 1 })
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  bytes.set(value, at)
  const sumOf = (isIn: (at: number) => boolean) =>
    fields.reduce((sum, field) => (isIn(field.at) ? sum + view.getUint16(field.at, true) : sum), 0)
  if (ip !== null) view.setUint16(ip.at, foldChecksum(ip.sum + sumOf(isInIp)), true)
  if (transport === null) return
  const checksum = foldChecksum(transport.sum + sumOf(isInTransport))
  view.setUint16(transport.at, checksum === 0 && transport.isUdp ? 0xffff : checksum, true)
}
