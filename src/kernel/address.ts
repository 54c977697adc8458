import { isIPv6 } from 'node:net'

const BYTE = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
/** As Node's isIPv4, for which node:net would be loaded. */
const IPV4 = new RegExp(`^${BYTE}(\\.${BYTE}){3}$`)

/** The bytes of an address, in network order: 4 for IPv4, 16 for IPv6 (RFC 4291 section 2.2). Throws a RangeError. */
export function parseAddress(text: string): Uint8Array {
  if (IPV4.test(text)) return Uint8Array.from(text.split('.'), Number)
  if (!isIPv6(text) || text.includes('%')) {
    throw new RangeError(`"${text}" is not an IP address; write it like 192.0.2.1 or 2001:db8::1`)
  }
  return parseIpv6(text)
}

/** An address and its prefix length in bits, from `192.0.2.1/24`. Throws a RangeError. */
export function parsePrefix(text: string): { address: Uint8Array; lengthBits: number } {
  const slash = text.indexOf('/')
  const digits = text.slice(slash + 1)
  const address = slash < 0 ? undefined : parseAddress(text.slice(0, slash))
  if (!address || !/^\d{1,3}$/.test(digits) || Number(digits) > address.length * 8) {
    throw new RangeError(`"${text}" is not an address with a prefix length; write it like 192.0.2.1/24`)
  }
  return { address, lengthBits: Number(digits) }
}

/** The six bytes of `02:00:00:00:00:01`. Throws a RangeError. */
export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new RangeError(`"${text}" is not a MAC address; write it like 02:00:00:00:00:01`)
  }
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16))
}

/** `02:00:00:00:00:01` for six bytes. */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** Expects text that isIPv6 accepted; an embedded IPv4 address fills the last two groups. */
function parseIpv6(text: string): Uint8Array {
  const [head = '', tail] = text.split('::')
  const first = parseGroups(head)
  const last = parseGroups(tail ?? '')
  const bytes = new Uint8Array(16)
  bytes.set(first, 0)
  bytes.set(last, 16 - last.length)
  return bytes
}

function parseGroups(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
