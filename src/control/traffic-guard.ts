import { type AddressRange, frameShape, type Template } from '../generate/index.js'
import { parseAddress } from '../kernel/index.js'
import { TrafficError } from './traffic-error.js'
import { addressAt, formatAddress } from './traffic-range.js'

/** Where a device leads, as far as it matters for what may be sent there. */
export type Reach =
  /** A file, a link in memory, or a virtual device in a namespace other than the initial one: anything. */
  | 'inside'
  /** The loopback device of the initial namespace: loopback addresses. */
  | 'loopback'
  /** Everything else: only what the operator has confirmed. */
  | 'outside'

/**
 * Refuses traffic to anybody who has not asked for it. A frame's destination is
 * that of its outermost IP header, because it decides where the frame goes, in
 * each value that the template gives it. Throws TrafficError at the first that
 * is not allowed; `nameOf` says which template that is.
 */
export function checkDestinations(
  templates: readonly Template[],
  { reach, device }: { readonly reach: Reach; readonly device: string },
  confirmed: readonly string[],
  nameOf: (template: number) => string,
): void {
  const allowed = new Set(confirmed.map((text) => parseConfirmed(text).join()))
  if (reach === 'inside') return
  templates.forEach((template, index) => {
    const range = destinationsOf(template)
    if (range === null) {
      throw new TrafficError(
        `${nameOf(index)} has no IP destination that could be confirmed; send it in a network namespace other than the initial one`,
      )
    }
    const refused = firstRefused(range, reach, allowed)
    if (refused === null) return
    const address = formatAddress(refused)
    const where =
      reach === 'loopback'
        ? `which is no loopback address, and ${device} may hand it on`
        : `and from ${device} it may leave this machine`
    throw new TrafficError(
      `${nameOf(index)} goes to ${address}, ${where}; add --confirm ${address} if its owner agrees, or send in a network namespace of its own`,
    )
  })
}

function parseConfirmed(text: string): Uint8Array {
  try {
    return parseAddress(text)
  } catch {
    throw new TrafficError(`"${text}" cannot be confirmed; give one exact address, and repeat --confirm for each`)
  }
}

/** The destinations of all packets that are made of a template; null where it is no IP packet. */
export function destinationsOf({ bytes, fields }: Template): AddressRange | null {
  const { ip } = frameShape(bytes)
  if (ip === null) return null
  const length = ip.version === 4 ? 4 : 16
  const at = ip.at + (ip.version === 4 ? 16 : 24)
  const first = Uint8Array.from(bytes.subarray(at, at + length))
  const field = fields.find((each) => each.at === at + length - 4)
  if (field === undefined) return { first, count: 1 }
  new DataView(first.buffer).setUint32(length - 4, field.first)
  return { first, count: field.count }
}

/** Ranges may hold 2^32 addresses: more than are confirmed cannot all be, unless they are loopback's. */
function firstRefused(range: AddressRange, reach: Reach, allowed: ReadonlySet<string>): Uint8Array | null {
  const isAllowed = (address: Uint8Array) =>
    allowed.has(address.join()) || (reach === 'loopback' && isLoopback(address))
  const last = addressAt(range, range.count - 1)
  if (reach === 'loopback' && isLoopback(range.first) && isLoopback(last)) return null
  for (let index = 0; index < Math.min(range.count, allowed.size + 1); index++) {
    const address = addressAt(range, index)
    if (!isAllowed(address)) return address
  }
  return isAllowed(last) ? null : last
}

/** 127.0.0.0/8 (RFC 1122, section 3.2.1.3) and ::1 (RFC 4291, section 2.5.3). */
function isLoopback(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] === 127
  return address.every((byte, index) => byte === (index === 15 ? 1 : 0))
}
