import { readFileSync } from 'node:fs'

const RTF_GATEWAY = 2

/**
 * The router that packets to an IPv4 address go through, or null where it is
 * on the link or there is no route: the longest match in /proc/net/route
 * (proc(5)), whose addresses are words in the machine's byte order.
 */
export function nextHopTo(address: string, table = '/proc/thread-self/net/route'): string | null {
  const destination = wordOf(address)
  let best = { mask: -1, gateway: 0 }
  for (const line of readFileSync(table, 'utf8').split('\n').slice(1)) {
    const fields = line.split(/\s+/)
    if (fields.length < 8) continue
    const network = fromTable(fields[1]!)
    const gateway = Number.parseInt(fields[3]!, 16) & RTF_GATEWAY ? fromTable(fields[2]!) : 0
    const mask = fromTable(fields[7]!)
    if ((destination & mask) >>> 0 === network && mask > best.mask) best = { mask, gateway }
  }
  return best.gateway === 0 ? null : textOf(best.gateway)
}

function fromTable(hexadecimal: string): number {
  return Buffer.from(hexadecimal, 'hex').readUInt32LE()
}

function wordOf(address: string): number {
  return Buffer.from(address.split('.').map(Number)).readUInt32BE()
}

function textOf(word: number): string {
  return [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.')
}
