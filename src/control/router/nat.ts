import type { NatRule, PortRange } from '../../flow/index.js'
import type { Prefix } from '../../route/index.js'
import { formatAddress } from '../traffic-range.js'
import type { TranslatedPorts } from './port-policy.js'

/**
 * Ports by which a router masquerades, where nothing else is said: behind those
 * that Linux gives to its own connections (net.ipv4.ip_local_port_range), so
 * that what answers to the router's address is either the one's or the other's.
 */
export const MASQUERADE_PORTS: PortRange = [61_000, 65_535]

/** The same rules, each range of ports said. */
export function withPorts(rules: readonly NatRule[]): NatRule[] {
  return rules.map((rule) => (rule.kind === 'masquerade' ? { ...rule, ports: rule.ports ?? MASQUERADE_PORTS } : rule))
}

/** What these rules make of packets to the machine's own addresses. Sources of a pool are none of them. */
export function translatedPorts(rules: readonly NatRule[]): TranslatedPorts[] {
  return rules.flatMap((rule): TranslatedPorts[] => {
    if (rule.kind === 'masquerade') return [{ ports: rule.ports ?? MASQUERADE_PORTS }]
    if (rule.kind === 'source' || rule.to.length !== rule.to.address.length * 8) return []
    const { address, port, protocol } = rule.to
    if (port === undefined || !(protocol === 6 || protocol === 17)) return []
    return [{ host: formatAddress(address), transport: protocol === 6 ? 'tcp' : 'udp', ports: [port, port] }]
  })
}

type Published = Extract<NatRule, { kind: 'destination' }>

/** Whether what one rule makes of a destination is one that a rule translates to something else. */
export function isChained(rules: readonly NatRule[]): boolean {
  const published = rules.filter((rule) => rule.kind === 'destination')
  return published.some((one) => published.some((next) => isTranslatedBy(one, next)))
}

function isTranslatedBy({ to, address, port = to.port }: Published, next: Published): boolean {
  const agree = (one: number | undefined, other: number | undefined) =>
    one === undefined || other === undefined || one === other
  if (!agree(to.protocol, next.to.protocol) || !agree(port, next.to.port) || !isIn(address, next.to)) return false
  const isSame = address.every((byte, at) => byte === next.address[at])
  return !isSame || (next.port !== undefined && next.port !== port)
}

function isIn(address: Uint8Array, { address: prefix, length }: Prefix): boolean {
  if (address.length !== prefix.length) return false
  return address.every(
    (byte, at) => ((byte ^ prefix[at]!) & (0xff00 >> Math.min(8, Math.max(0, length - at * 8))) & 255) === 0,
  )
}
