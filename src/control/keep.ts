import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { nextHopTo } from './next-hop.js'

/**
 * What no rule may drop: the packets by which the operator reaches this
 * machine. A filter expression that is to be checked before every rule.
 */
export interface KeepRule {
  readonly expression: string
  /** For the operator to read: `192.0.2.7 (your SSH client)`. */
  readonly what: string
}

/**
 * The rules that keep the operator's way in open: the SSH client that this
 * command was started from (unless `ssh` is false) with the neighbour its
 * packets come through, and every prefix of `prefixes`.
 */
export function keepRules(prefixes: readonly string[], ssh: boolean): KeepRule[] {
  const rules = prefixes.map((prefix) => ({ expression: fromPrefix(prefix), what: prefix }))
  const client = ssh ? sshClient() : null
  if (client === null) return rules
  const own = { expression: fromPrefix(client), what: `${client} (your SSH client)` }
  return [own, ...neighbourRules(client), ...rules]
}

/**
 * `src net …`, with and without VLAN tags: a tag moves every header that
 * stands behind it, so each depth is asked for by itself.
 */
function fromPrefix(prefix: string): string {
  const from = `src ${isIP(prefix) === 0 ? 'net' : 'host'} ${prefix}`
  return `${from} or (vlan and (${from} or (vlan and ${from})))`
}

/** Without the address of its neighbour the machine cannot answer the operator at all. */
function neighbourRules(client: string): KeepRule[] {
  if (isIP(client) === 6) {
    // Neighbour solicitation and advertisement, RFC 4861: sent from any address of the link.
    return [{ expression: 'icmp6 and (ip6[40] = 135 or ip6[40] = 136)', what: 'IPv6 neighbour discovery' }]
  }
  const nextHop = nextHopTo(client)
  return nextHop === null ? [] : [{ expression: `arp and src host ${nextHop}`, what: `ARP of the router ${nextHop}` }]
}

/** The address that the SSH session of this process comes from, or null. */
export function sshClient(processId: number | 'self' = 'self'): string | null {
  for (let pid = String(processId); pid !== '0' && pid !== ''; pid = parentOf(pid)) {
    const address = clientIn(read(`/proc/${pid}/environ`))
    if (address !== null) return address
  }
  return null
}

/** sudo takes the variable away from what it starts, so the parents are asked as well. */
function parentOf(pid: string): string {
  return /^PPid:\s*(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? ''
}

/** `SSH_CONNECTION=client-address client-port server-address server-port` (ssh(1)). */
function clientIn(environment: string): string | null {
  const value = environment.split('\0').find((variable) => variable.startsWith('SSH_CONNECTION='))
  const address = value?.slice('SSH_CONNECTION='.length).split(' ')[0]?.replace(/%.*$/, '') ?? ''
  // An IPv4 client of an IPv6 socket.
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  return isIP(plain) === 0 ? null : plain
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
