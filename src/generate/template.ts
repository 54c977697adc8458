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
  readonly unstamped?: Unstamped
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

/** A template's checksums, and which fields go into which. */
export interface CompiledTemplate {
  readonly ip: CompiledChecksum | null
  readonly transport: (CompiledChecksum & { readonly isUdp: boolean }) | null
  readonly inIp: readonly boolean[]
  readonly inTransport: readonly boolean[]
}

const NO_CHECKSUM = { ip: null, transport: null }

/** Bytes that are written anew for each packet, of an even number. */
type Replaced = Pick<TemplateField, 'at'> & { readonly bytes: number }

/**
 * Works out how the checksums follow from the fields: new = ~(~old + ~before +
 * after) for each word that changes, so that what is right stays right, what is
 * wrong stays wrong, and a packet that was cut off needs no more than its headers.
 */
export function compileTemplate({ bytes, fields, stampAt }: Template): CompiledTemplate {
  const { ip, transport } = frameShape(bytes)
  if (ip === null) return { ...NO_CHECKSUM, inIp: fields.map(() => false), inTransport: fields.map(() => false) }
  const isAddress = (at: number) => at >= ip.sourceAt && at < ip.destinationAt + ip.addressBytes
  const isInIp = (at: number) => ip.version === 4 && at >= ip.at && at < ip.at + ip.headerBytes
  const isInTransport = (at: number) =>
    transport?.hasChecksum === true && ((transport.coversAddresses && isAddress(at)) || at >= transport.at)
  const inIp = fields.map(({ at }) => isInIp(at))
  const inTransport = fields.map(({ at }) => isInTransport(at))
  const replaced = (isIn: readonly boolean[]) => fields.filter((_, index) => isIn[index])
  const stamp: readonly Replaced[] = stampAt === null ? [] : [{ at: stampAt, bytes: STAMP_BYTES }]
  const inSum = [...replaced(inTransport), ...stamp]
  return {
    ip: inIp.includes(true) ? { at: ip.at + 10, sum: sumWithout(bytes, ip.at + 10, replaced(inIp)) } : null,
    transport:
      transport?.hasChecksum === true && inSum.length > 0
        ? {
            at: transport.checksumAt,
            sum: sumWithout(bytes, transport.checksumAt, inSum),
            isUdp: transport.protocol === 'udp',
          }
        : null,
    inIp,
    inTransport,
  }
}

function sumWithout(bytes: Uint8Array, checksumAt: number, replaced: readonly Replaced[]): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const complement = (at: number) => view.getUint16(at, true) ^ 0xffff
  let sum = complement(checksumAt)
  for (const { at, bytes: width } of replaced) {
    for (let half = at; half < at + width; half += 2) sum += complement(half)
  }
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
  const { ip, transport, inIp, inTransport } = compileTemplate({ bytes, fields, stampAt: null, weight: 1 })
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  bytes.set(value, at)
  const sumOf = (isIn: readonly boolean[]) =>
    fields.reduce((sum, field, index) => (isIn[index] ? sum + view.getUint16(field.at, true) : sum), 0)
  if (ip !== null) view.setUint16(ip.at, foldChecksum(ip.sum + sumOf(inIp)), true)
  if (transport === null) return
  const checksum = foldChecksum(transport.sum + sumOf(inTransport))
  view.setUint16(transport.at, checksum === 0 && transport.isUdp ? 0xffff : checksum, true)
}
