import { addWords, foldChecksum, write16 } from '../../src/wire/index.js'
import { read16 } from './flow-packet.js'
import { areSumsRight, mendHeader, mendSums, placesOf, portAt, setTag } from './ip-packet.js'
import type { End } from './nat-conversation.js'

/** A host, and as what a router shows it. */
export interface Shown {
  readonly real: End
  readonly seen: End
}

/**
 * A packet behind a translation, as two routers agree on it, in hexadecimal:
 * each host is put back, with the sums. Of an error that the router itself has
 * made the tag is chance, and Linux makes it in the name of an address that it
 * has translated something to, where ours has its own: neither counts.
 */
export function plainOf(ip: Uint8Array, hosts: readonly Shown[], isOwn: boolean): string {
  const plain = ip.slice()
  const { quoted, addresses, addressBytes } = placesOf(plain)
  const isRight = areSumsRight(plain) && (quoted === 0 || isHeaderRight(plain, quoted))
  for (const { seen, real } of hosts)
    for (const start of quoted === 0 ? [0] : [0, quoted]) putBack(plain, start, seen, real)
  if (isOwn) {
    setTag(plain, 0)
    plain.fill(0, addresses, addresses + addressBytes)
  }
  mendSums(plain)
  return Buffer.from(plain).toString('hex') + (isRight ? '' : ' with a wrong sum')
}

function isHeaderRight(ip: Uint8Array, start: number): boolean {
  const { isIpv4, transport } = placesOf(ip, start)
  return !isIpv4 || foldChecksum(addWords(0, ip, start, transport)) === 0
}

function putBack(ip: Uint8Array, start: number, seen: End, real: End): void {
  const places = placesOf(ip, start)
  const { isIpv4, addresses, addressBytes, protocol, sum } = places
  for (const side of [0, 1] as const) {
    const [at, port] = [addresses + side * addressBytes, portAt(ip, places, side)]
    if (Buffer.compare(ip.subarray(at, at + addressBytes), seen.address) !== 0) continue
    if (port !== 0 && read16(ip, port) !== seen.port) continue
    const sumOf = () => {
      const ports = port === 0 ? 0 : read16(ip, port)
      return isIpv4 && protocol === 1 ? ports : addWords(ports, ip, at, at + addressBytes)
    }
    const before = sumOf()
    ip.set(real.address, at)
    if (port !== 0) write16(ip, port, real.port)
    if (isIpv4) mendHeader(ip, start)
    // RFC 1624, equation 3: of what is quoted the rest is often not there.
    if (sum === 0) continue
    const mended = foldChecksum((read16(ip, sum) ^ 0xffff) + foldChecksum(before) + sumOf())
    write16(ip, sum, mended === 0 && protocol === 17 ? 0xffff : mended)
  }
}
