import type { Space } from '../memory/index.js'
import type { Prefix } from '../route/index.js'
import {
  RULE_BYTES,
  RULE_COUNT,
  RULE_DESTINATION,
  RULE_FAMILY,
  RULE_KIND,
  RULE_MASK,
  RULE_MASQUERADE,
  RULE_OUT_PORT,
  RULE_PORTS,
  RULE_PREFIX,
  RULE_PROTOCOL,
  RULE_SOURCE,
  RULE_TARGET,
} from './formats.js'

/** Lowest and highest port that is given out, both included; identifiers of ICMP are taken from the same range. */
export type PortRange = readonly [lowest: number, highest: number]

/**
 * What is translated, for flows that a rule sees begin; of the rules for
 * sources, and of those for destinations, the first that fits counts.
 *
 * - `source`: what comes from `from` and leaves by port `outPort` has one of
 *   `count` addresses from `to` on (1 where it is not said), the same for the same host.
 * - `masquerade`: what leaves by `outPort` has the first address of that port.
 *   When the port has it no more, its flows end.
 * - `destination`: what is for `to` goes to `address` instead, and to `port`
 *   where that is said. `to.port` needs a protocol that has ports.
 *
 * Ports are kept where they are free and in `ports`, 1024 to 65535 where it is not said.
 */
export type NatRule =
  | {
      readonly kind: 'source'
      readonly from: Prefix
      readonly outPort: number
      readonly to: Uint8Array
      readonly count?: number
      readonly ports?: PortRange
    }
  | { readonly kind: 'masquerade'; readonly outPort: number; readonly ports?: PortRange }
  | {
      readonly kind: 'destination'
      readonly to: Prefix & { readonly protocol?: number; readonly port?: number }
      readonly address: Uint8Array
      readonly port?: number
    }

const PORTS: PortRange = [1024, 65_535]
const HIGHEST_PORT = 65_535

/** Rules in memory; masquerading is two, one for each family. */
export function natBytes(rules: readonly NatRule[]): number {
  return encoded(rules).length * RULE_BYTES
}

/** Writes rules to `address`, and gives how many. Throws RangeError where a rule makes no sense. */
export function writeNat({ bytes }: Space, address: number, rules: readonly NatRule[]): number {
  const all = encoded(rules)
  all.forEach((rule, index) => {
    bytes.set(rule, address + index * RULE_BYTES)
  })
  return all.length
}

function encoded(rules: readonly NatRule[]): Uint8Array[] {
  return rules.flatMap((rule) => {
    if (rule.kind === 'destination') return [encodeDestination(rule)]
    const { outPort, ports = PORTS } = rule
    if (rule.kind === 'source') {
      const { from, to, count = 1 } = rule
      return [encodeSource(RULE_SOURCE, from, outPort, to, count, ports)]
    }
    return [4, 16].map((length) => {
      const any = new Uint8Array(length)
      return encodeSource(RULE_MASQUERADE, { address: any, length: 0 }, outPort, any, 1, ports)
    })
  })
}

function encodeSource(
  kind: number,
  from: Prefix,
  outPort: number,
  to: Uint8Array,
  count: number,
  [lowest, highest]: PortRange,
): Uint8Array {
  if (!(lowest >= 1 && lowest <= highest && highest <= HIGHEST_PORT))
    throw new RangeError(`ports ${lowest} to ${highest} are no range`)
  if (!(count >= 1)) throw new RangeError(`sources are translated to 1 address or more, not ${count}`)
  const { bytes, view } = begin(kind, from, to)
  view.setUint32(RULE_OUT_PORT, outPort, true)
  view.setUint16(RULE_PORTS, lowest, true)
  view.setUint16(RULE_PORTS + 2, highest, true)
  view.setUint32(RULE_COUNT, count, true)
  return bytes
}

function encodeDestination({ to, address, port = 0 }: Extract<NatRule, { kind: 'destination' }>): Uint8Array {
  const { protocol = 0, port: matched = 0 } = to
  if ((matched !== 0 || port !== 0) && !WITH_PORTS.has(protocol))
    throw new RangeError(`protocol ${protocol} has no ports that could be translated`)
  const { bytes, view } = begin(RULE_DESTINATION, to, address)
  bytes[RULE_PROTOCOL] = protocol
  // As they stand in a packet.
  view.setUint16(RULE_PORTS, matched)
  view.setUint16(RULE_PORTS + 2, port)
  return bytes
}

/** TCP, UDP, DCCP, UDP-Lite. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 136])

function begin(kind: number, { address, length }: Prefix, to: Uint8Array) {
  if (address.length !== to.length) throw new RangeError('an address is translated to one of its own family')
  const bytes = new Uint8Array(RULE_BYTES)
  bytes[RULE_KIND] = kind
  bytes[RULE_FAMILY] = address.length === 4 ? 4 : 6
  address.forEach((byte, index) => {
    const mask = 0xff & (0xff00 >> Math.min(8, Math.max(0, length - index * 8)))
    bytes[RULE_MASK + index] = mask
    bytes[RULE_PREFIX + index] = byte & mask
  })
  bytes.set(to, RULE_TARGET)
  return { bytes, view: new DataView(bytes.buffer) }
}
