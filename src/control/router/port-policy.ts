import { buildTable, divert, type Policy, pass, policy, type SetContents } from '../../policy/index.js'
import type { Prefix } from '../../route/index.js'

/** What the router translates although it is addressed to the machine: ports and identifiers that it has given out or published. */
export interface TranslatedPorts {
  /** An address that it is for; all of the machine where it is not said. */
  readonly host?: string
  /** The transport where it is one alone. */
  readonly transport?: 'tcp' | 'udp'
  readonly ports: readonly [lowest: number, highest: number]
}

/** The set of addresses that are the machine's own. */
export const OWN_ADDRESSES = 'own'
/** The set of these, and of what the kernel alone routes: by a device that is no port, or in a tunnel. */
export const KERNELS = 'kernels'

/**
 * What the driver leaves to the kernel of a port, whose Ethernet address is
 * `mac`, and what it gives to the router: packets that are to be forwarded. To
 * the kernel go all that are for the machine itself, for groups of hosts, to
 * where no port leads, from the machine's own addresses, which it drops, and
 * what keeps the link alive: ARP, neighbour discovery (RFC 4861), whatever is
 * not IP. What is translated is the router's, with the ICMP errors about it.
 * So are fragments that may be a part of it: most have no ports, and whoever has
 * the first knows whose the others are.
 */
export function portPolicy(mac: string, translated: readonly TranslatedPorts[] = []): Policy {
  return policy(
    { sets: { [OWN_ADDRESSES]: [], [KERNELS]: [] } },
    pass(`not ether dst ${mac}`, { name: 'not for this port' }),
    pass(`ip src net @${OWN_ADDRESSES} or ip6 src net @${OWN_ADDRESSES}`, { name: 'from this machine itself' }),
    ...translated.map((ports, number) => divert(filterOf(ports), { name: `to be translated ${number}` })),
    ...(translated.length > 0 ? [divert(FRAGMENTS, { name: 'fragments that may be translated' })] : []),
    pass(`ip dst net @${KERNELS} or ip6 dst net @${KERNELS}`, { name: 'for this machine, or its kernel to route' }),
    pass('ip6 dst net fe80::/10 or ip6 src net fe80::/10', { name: 'stays on its link' }),
    divert('ip or ip6', { name: 'to be routed' }),
  )
}

/** Of TCP, UDP and ICMP: what has no ports is the kernel's, where it is for this machine. */
const FRAGMENTS = [
  `ip dst net @${OWN_ADDRESSES} and ip[6:2] & 0x3fff != 0 and (ip[9] = 1 or ip[9] = 6 or ip[9] = 17)`,
  `ip6 dst net @${OWN_ADDRESSES} and not ip6 dst net fe80::/10 and ip6[6] = 44 and (ip6[40] = 58 or ip6[40] = 6 or ip6[40] = 17)`,
]
  .map((filter) => `(${filter})`)
  .join(' or ')

/** Answers to echoes and timestamps, errors, and fields of ICMP messages and of the packets that errors quote, by family; IPv6 is quoted without extension headers. */
const MESSAGES = [
  {
    icmp: 'icmp',
    answers: 'icmp[0] = 0 or icmp[0] = 14',
    errors: 'icmp[0] = 3 or icmp[0] = 11 or icmp[0] = 12',
    protocol: 17,
    isEcho: 1,
    ports: 28,
  },
  { icmp: 'icmp6', answers: 'icmp6[0] = 129', errors: 'icmp6[0] < 5', protocol: 14, isEcho: 58, ports: 48 },
] as const

function filterOf({ host, transport, ports: [lowest, highest] }: TranslatedPorts): string {
  const to = host === undefined ? '' : `dst host ${host} and `
  const filters = [`${to}${transport ?? ''} dst portrange ${lowest}-${highest}`]
  for (const { icmp, answers, errors, protocol, isEcho, ports } of MESSAGES) {
    if (host !== undefined && host.includes(':') !== (icmp === 'icmp6')) continue
    const between = (at: number) => `${icmp}[${at}:2] >= ${lowest} and ${icmp}[${at}:2] <= ${highest}`
    filters.push(`${to}(${errors}) and ${icmp}[${protocol}] != ${isEcho} and ${between(ports)}`)
    if (transport !== undefined) continue
    filters.push(`${to}(${errors}) and ${icmp}[${protocol}] = ${isEcho} and ${between(ports + 4)}`)
    filters.push(`${to}(${answers}) and ${between(4)}`)
  }
  return filters.map((filter) => `(${filter})`).join(' or ')
}

/** Prefixes of either family as the contents of a set. */
export function prefixSet(prefixes: readonly Prefix[]): SetContents {
  const list = (bytes: 4 | 16) => {
    const own = prefixes.filter(({ address }) => address.length === bytes)
    const words = own.flatMap(({ address }) => {
      const view = new DataView(address.buffer, address.byteOffset, address.byteLength)
      return Array.from({ length: bytes / 4 }, (_, word) => view.getUint32(word * 4))
    })
    const lengths = Uint8Array.from(own, ({ length }) => length)
    return buildTable(Uint32Array.from(words), lengths, bytes === 4 ? 1 : 4)
  }
  return { v4: list(4), v6: list(16) }
}
