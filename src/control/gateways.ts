import { readFileSync } from 'node:fs'
import { parseIpv4 } from '../filter/index.js'

const RTF_GATEWAY = 2

/**
 * The routers that packets to an IPv4 address or prefix can go through: the
 * gateway of every route that has addresses in common with it, in the order of
 * /proc/net/route (proc(5)), whose addresses are words in the machine's byte
 * order. Empty for a text that is no prefix.
 */
export function gatewaysTowards(prefix: string, table = '/proc/thread-self/net/route'): string[] {
  const wanted = parsePrefix(prefix)
  if (wanted === null) return []
  const gateways = new Set<string>()
  for (const line of read(table).split('\n').slice(1)) {
    const fields = line.split(/\s+/)
    if (fields.length < 8 || !(Number.parseInt(fields[3]!, 16) & RTF_GATEWAY)) continue
    const mask = fromTable(fields[7]!) & wanted.mask
    if ((fromTable(fields[1]!) & mask) === (wanted.network & mask)) gateways.add(textOf(fromTable(fields[2]!)))
  }
  return [...gateways]
}

/** `10.1/16` and `10.1` as tcpdump reads them: missing parts are zero, and each part that is there has 8 bits. */
function parsePrefix(prefix: string): { network: number; mask: number } | null {
  const [address = '', length] = prefix.split('/')
  const parts = address.split('.')
  const whole = [...parts, '0', '0', '0'].slice(0, 4)
  const bits = length === undefined ? parts.length * 8 : Number(length)
  const quad = parseIpv4(whole.join('.'))
  if (quad === null || !(bits >= 0 && bits <= 32)) return null
  // A shift by 32 bits would shift by none.
  return { network: quad.word, mask: bits === 0 ? 0 : -1 << (32 - bits) }
}

/** A network namespace without routes, or a kernel without IPv4, has no gateway. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function fromTable(hexadecimal: string): number {
  return Buffer.from(hexadecimal, 'hex').readUInt32LE()
}

function textOf(word: number): string {
  return [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.')
}
