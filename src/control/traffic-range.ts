import { formatIpv4, formatIpv6 } from '../filter/index.js'
import type { AddressRange, PortRange } from '../generate/index.js'
import { parseAddress, parsePrefix } from '../kernel/index.js'
import { TrafficError } from './traffic-error.js'

/** Addresses and, where they were written, ports. */
export interface Endpoints {
  readonly addresses: AddressRange
  readonly ports: PortRange | null
}

const FORMS =
  '192.0.2.2, 192.0.2.0/24, 192.0.2.2-192.0.2.9 or 2001:db8::/64, with ports as 192.0.2.2:53 or [2001:db8::1]:1024-2047'

/**
 * `ADDRESS`, `PREFIX` or `FIRST-LAST`, and perhaps `:PORT` or `:PORT-PORT`; IPv6
 * with ports in brackets. Of IPv6 the last 32 bits can differ. Throws TrafficError.
 */
export function parseEndpoints(text: string): Endpoints {
  const bracketed = /^\[([^\]]+)\](?::(.+))?$/.exec(text)
  const plain = /^([^:]+)(?::([^:]+))?$/.exec(text)
  const [, addresses, ports] = bracketed ?? plain ?? [text, text, undefined]
  try {
    return { addresses: parseAddresses(addresses!), ports: ports === undefined ? null : parsePorts(ports) }
  } catch (error) {
    if (error instanceof TrafficError) throw error
    throw new TrafficError(`"${text}" is no address or range of addresses; write ${FORMS}`)
  }
}

function parseAddresses(text: string): AddressRange {
  const dash = text.indexOf('-')
  if (dash >= 0) return rangeBetween(text, parseAddress(text.slice(0, dash)), parseAddress(text.slice(dash + 1)))
  if (!text.includes('/')) return { first: parseAddress(text), count: 1 }
  const { address, lengthBits } = parsePrefix(text)
  const hostBits = Math.min(32, address.length * 8 - lengthBits)
  const count = 2 ** hostBits
  const first = Uint8Array.from(address)
  const view = lastWordOf(first)
  view.setUint32(0, Math.floor(view.getUint32(0) / count) * count)
  return { first, count }
}

function rangeBetween(text: string, first: Uint8Array, last: Uint8Array): AddressRange {
  const head = (address: Uint8Array) => address.subarray(0, -4).join()
  const count = lastWordOf(last).getUint32(0) - lastWordOf(first).getUint32(0) + 1
  if (first.length !== last.length || head(first) !== head(last) || count < 1)
    throw new TrafficError(`"${text}" is no range; write the lower address first, and let only the last 32 bits differ`)
  return { first, count }
}

function lastWordOf(address: Uint8Array): DataView {
  return new DataView(address.buffer, address.byteOffset + address.length - 4, 4)
}

function parsePorts(text: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  const first = Number(match?.[1])
  const last = Number(match?.[2] ?? first)
  if (!(first <= last && last <= 65_535)) throw new TrafficError(`"${text}" is no port; write 53 or 1024-2047`)
  return { first, count: last - first + 1 }
}

/** The address `index` behind the range's first. */
export function addressAt({ first }: AddressRange, index: number): Uint8Array {
  const address = Uint8Array.from(first)
  const view = lastWordOf(address)
  view.setUint32(0, view.getUint32(0) + index)
  return address
}

/** As it is written: `192.0.2.1`, `2001:db8::1`. */
export function formatAddress(address: Uint8Array): string {
  const view = new DataView(address.buffer, address.byteOffset, address.byteLength)
  const words = Array.from({ length: address.length / 4 }, (_, index) => view.getUint32(index * 4))
  return words.length === 1 ? formatIpv4(words[0]!) : formatIpv6(words)
}
