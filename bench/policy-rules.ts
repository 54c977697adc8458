import type { Rule } from '../src/compile.js'
import { IP_PROTOCOL } from '../src/wire/index.js'
import { ipv4, ipv6 } from './frames.js'

/** A rule of one shape for any number, and a frame that it matches. */
interface Shape {
  rule(number: number): string
  frame(number: number): Uint8Array
}

/** IPv4 addresses all over the unicast space; the step is odd, so none repeats. */
function address(number: number): number {
  return (0x0b000000 + (Math.imul(number + 1, 0x9e3779b1) >>> 1)) >>> 0
}

function dotted(word: number): string {
  return [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.')
}

const net = (number: number, mask: number) => dotted((address(number) & mask) >>> 0)
const port = (number: number) => 1 + ((number * 7) % 65_000)
const hex = (number: number) => (number + 1).toString(16)
const { udp, tcp, icmp } = IP_PROTOCOL

/** What blocklists and services ask for; half the frames of a run match one rule of them. */
const SHAPES: readonly Shape[] = [
  { rule: (n) => `src host ${dotted(address(n))}`, frame: (n) => ipv4(udp, { source: address(n) }) },
  { rule: (n) => `udp src port ${port(n)}`, frame: (n) => ipv4(udp, { sourcePort: port(n) }) },
  { rule: (n) => `udp dst port ${port(n)}`, frame: (n) => ipv4(udp, { port: port(n) }) },
  {
    rule: (n) => `tcp dst port ${port(n)} and src net ${net(n, 0xffffff00)}/24`,
    frame: (n) => ipv4(tcp, { source: address(n), port: port(n) }),
  },
  { rule: (n) => `ip6 src host 2001:db8::${hex(n)}`, frame: (n) => ipv6([0x20010db8, 0, 0, n + 1]) },
  { rule: (n) => `src net ${net(n, 0xffff0000)}/16`, frame: (n) => ipv4(tcp, { source: address(n) ^ 0x55 }) },
  { rule: (n) => `udp and dst host ${dotted(address(n))}`, frame: (n) => ipv4(udp, { destination: address(n) }) },
  { rule: (n) => `tcp src port ${port(n)}`, frame: (n) => ipv4(tcp, { sourcePort: port(n) }) },
  { rule: (n) => `ip6 src net 2001:db8:${hex(n)}::/48`, frame: (n) => ipv6([0x20010db8, (n + 1) << 16, 9, 9]) },
  { rule: (n) => `icmp and src host ${dotted(address(n))}`, frame: (n) => ipv4(icmp, { source: address(n) }) },
]

/** `count` rules to drop, the ten shapes in turn. */
export function tenShapes(count: number): Rule[] {
  return Array.from({ length: count }, (_, rule) => ({ match: shapeOf(rule).rule(numberOf(rule)), action: 'drop' }))
}

/** A frame that rule `rule` of `tenShapes` matches; an earlier one may match it as well. */
export function frameFor(rule: number): Uint8Array {
  return shapeOf(rule).frame(numberOf(rule))
}

const shapeOf = (rule: number) => SHAPES[rule % SHAPES.length]!
const numberOf = (rule: number) => Math.floor(rule / SHAPES.length)

/** `count` rules to drop, no two of which differ in the constants of equations alone. */
export function differentShapes(count: number): Rule[] {
  const protocols = ['ip', 'tcp', 'udp', 'icmp', 'ip6']
  return Array.from({ length: count }, (_, rule) => {
    const protocol = protocols[rule % protocols.length]!
    const header = protocol === 'ip6' ? 'ip6' : 'ip'
    const byte = 1 + (Math.floor(rule / 5) % 18)
    return {
      match: `${protocol} and ${header}[${byte}] > ${100 + (rule % 150)} and less ${200 + rule}`,
      action: 'drop',
    }
  })
}

/** Frames that no blocklist knows: as many of each protocol as `frameFor` makes. */
export function strangeFrame(random: () => number): Uint8Array {
  const source = 0xc0000000 + Math.floor(random() * 0x1000000)
  const fields = { source, sourcePort: 65_100 + Math.floor(random() * 400), port: 65_100 + Math.floor(random() * 400) }
  const kind = Math.floor(random() * 10)
  if (kind < 2) return ipv6([0x2a000000, Math.floor(random() * 2 ** 32), 1, source])
  return ipv4(kind < 6 ? udp : kind < 9 ? tcp : icmp, fields)
}
