import { readFileSync } from 'node:fs'

/** One end of a TCP connection; IPv6 in the canonical form, an IPv4 client of an IPv6 socket as IPv4. */
export interface TcpEnd {
  readonly address: string
  readonly port: number
}

export interface TcpConnection {
  readonly local: TcpEnd
  readonly remote: TcpEnd
}

/** TCP_ESTABLISHED of net/tcp_states.h. */
const ESTABLISHED = '01'

/** The established connections in the network namespace of a process: /proc/PID/net/tcp and tcp6, proc(5). */
export function establishedConnections(processId: string): TcpConnection[] {
  return ['tcp', 'tcp6'].flatMap((table) => parseTcpTable(read(`/proc/${processId}/net/${table}`)))
}

/** The established connections of one table; a line is `slot: local:port remote:port state …` in hexadecimal. */
export function parseTcpTable(table: string): TcpConnection[] {
  return table.split('\n').flatMap((line) => {
    const [, local, remote, state] = line.trim().split(/\s+/)
    return state === ESTABLISHED ? [{ local: parseEnd(local!), remote: parseEnd(remote!) }] : []
  })
}

/** Words of four bytes in the machine's byte order, then the port as a plain number. */
function parseEnd(text: string): TcpEnd {
  const [words = '', port = ''] = text.split(':')
  const bytes = Buffer.from(words, 'hex').swap32()
  return { address: bytes.length === 4 ? bytes.join('.') : formatIpv6(bytes), port: Number.parseInt(port, 16) }
}

function formatIpv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  return canonicalAddress(groups.join(':'))
}

/** An address in the one form in which equal addresses are equal texts (RFC 5952), without its zone. */
export function canonicalAddress(address: string): string {
  const plain = withoutZone(address)
  if (!plain.includes(':')) return plain
  const canonical = new URL(`http://[${plain}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical)
  if (mapped === null) return canonical
  const [high, low] = [mapped[1]!, mapped[2]!].map((group) => Number.parseInt(group, 16))
  return [high! >> 8, high! & 255, low! >> 8, low! & 255].join('.')
}

/** `fe80::1` of `fe80::1%eth0` (RFC 4007, section 11). */
export function withoutZone(address: string): string {
  return address.replace(/%.*$/, '')
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
