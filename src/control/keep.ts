import { compileRules } from '../compile.js'
import { isAddress } from '../filter/index.js'
import { asFilterError } from './filter-error.js'
import { gatewaysTowards } from './gateways.js'
import { findSshSession, type SshSession } from './ssh-session.js'

/**
 * What no rule may drop: the packets by which the operator reaches this
 * machine. A filter expression that is to be checked before every rule.
 */
export interface KeepRule {
  readonly expression: string
  /** For the operator to read: `192.0.2.7 (your SSH client)`. */
  readonly what: string
}

/** A prefix that is to be kept cannot be read. */
export class KeepError extends Error {
  override name = 'KeepError'
}

/** What the operator says about who must never be locked out. */
export interface KeepRequest {
  /** Addresses and prefixes whose packets are never dropped. */
  readonly keep: readonly string[]
  /** Whether the SSH client of this process is kept as well. */
  readonly keepSsh: boolean
}

/** A terminal multiplexer keeps the environment of the session that it was started in. */
const ENDED_SESSION =
  'the SSH connection that this shell was started in is not there any more, so your own address is only guessed: name it with --keep'

/** What stands before every rule, and what the operator should know about it. Throws KeepError. */
export function findKept({ keep, keepSsh }: KeepRequest): {
  readonly rules: readonly KeepRule[]
  readonly warnings: readonly string[]
} {
  const session = keepSsh ? findSshSession() : null
  const rules = keepRules(keep, session)
  checkCompiles(rules)
  return { rules, warnings: session === null || session.isEstablished ? [] : [ENDED_SESSION] }
}

/** By itself, so that a fault in a prefix is not shown as one of the rules behind it. */
function checkCompiles(kept: readonly KeepRule[]): void {
  for (const { expression, what } of kept) {
    try {
      compileRules([{ match: expression, action: 'pass' }])
    } catch (error) {
      const fault = asFilterError(error, expression)
      if (fault === null) throw error
      throw new KeepError(`--keep ${what} cannot be used: ${fault.message}`, { cause: error })
    }
  }
}

/**
 * The rules that keep the operator's way in open: the client of `session` (and
 * the clients that may be it), every prefix of `prefixes`, and the neighbours
 * through which their packets come. Throws KeepError for what cannot be a prefix.
 */
export function keepRules(
  prefixes: readonly string[],
  session: SshSession | null,
  gatewaysOf: (source: string) => readonly string[] = gatewaysTowards,
): KeepRule[] {
  for (const prefix of prefixes) checkForm(prefix)
  // Each source once, under the first name that it was given.
  const sources = new Map<string, string>()
  for (const [source, what] of [...sshSources(session), ...prefixes.map((prefix) => [prefix, prefix] as const)]) {
    if (!sources.has(source)) sources.set(source, what)
  }
  const rules = [...sources].map(([source, what]) => ({ expression: atEveryDepth(fromSource(source)), what }))
  return [...rules, ...neighbourRules([...sources.keys()], gatewaysOf)]
}

function sshSources(session: SshSession | null): [string, string][] {
  if (session === null) return []
  const { client, isEstablished, others } = session
  return [
    [client, `${client} (${isEstablished ? 'your SSH client' : 'the SSH client that this session began with'})`],
    ...others.map((other): [string, string] => [other, `${other} (connected to SSH)`]),
  ]
}

/** Only an address or a prefix: any other word would become part of the expression that keeps it. */
function checkForm(prefix: string): void {
  if (/^[0-9a-f:.]+(\/\d+)?$/i.test(prefix)) return
  throw new KeepError(
    `--keep "${prefix}" is no address or prefix: write it as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32`,
  )
}

function fromSource(source: string): string {
  return `src ${isAddress(source) ? 'host' : 'net'} ${source}`
}

/** Without the link-layer address of its neighbours the machine cannot answer the operator at all. */
function neighbourRules(sources: readonly string[], gatewaysOf: (source: string) => readonly string[]): KeepRule[] {
  const gateways = new Set(sources.flatMap((source) => gatewaysOf(source)))
  const rules = [...gateways].map((gateway) => ({
    expression: atEveryDepth(`arp and src host ${gateway}`),
    what: `${gateway} (ARP of the router)`,
  }))
  return sources.some((source) => source.includes(':')) ? [...rules, NEIGHBOUR_DISCOVERY] : rules
}

/**
 * `expression` with and without VLAN tags: a tag moves every header that stands
 * behind it, so each depth is asked for by itself.
 */
function atEveryDepth(expression: string): string {
  return `(${expression}) or (vlan and ((${expression}) or (vlan and ${expression})))`
}

/**
 * Router advertisement, neighbour solicitation and advertisement (RFC 4861,
 * section 4), which are sent from any address of the link.
 */
const NEIGHBOUR_DISCOVERY: KeepRule = {
  expression: atEveryDepth('icmp6 and (ip6[40] = 134 or ip6[40] = 135 or ip6[40] = 136)'),
  what: 'any address, of IPv6 neighbour discovery and router advertisements',
}
