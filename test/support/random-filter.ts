import type { ClassicLinkType } from './classic-bpf.js'
import type { Random } from './random.js'
import { randomQuestions } from './random-questions.js'

const HOSTS = ['10.0.0.1', '10.0.0.2', '192.168.1.7', '224.0.0.5'] as const
const NETS = ['10.0.0.0/8', '192.168.1.0/24', '0.0.0.0/0', '10.0.0.0/30'] as const
const HOSTS6 = ['fe80::1', '2001:db8::53', 'ff02::1'] as const
const NETS6 = ['2001:db8::/32', 'fe80::/10', 'ff00::/8', '2001:db8::/60'] as const
const MACS = ['02:00:00:00:00:01', '02:00:00:00:00:02', 'ff:ff:ff:ff:ff:ff'] as const
const PORTS = [0, 22, 53, 80, 443, 1024, 65535] as const
const NAMES = ['ip', 'ip6', 'arp', 'rarp', 'tcp', 'udp', 'icmp', 'icmp6', 'sctp', 'igmp', 'pim', 'ah', 'esp'] as const
const LINK_NAMES = ['stp', 'llc', 'ipx', 'netbeui', 'atalk', 'aarp', 'multicast', 'broadcast', 'ip multicast'] as const
const DIRECTIONS = ['', 'src ', 'dst ', 'src or dst ', 'src and dst '] as const
const BASES = ['ether', 'ip', 'ip', 'ip6', 'arp', 'tcp', 'tcp', 'udp', 'icmp', 'icmp6', 'sctp'] as const
const OPERATORS = ['+', '-', '*', '/', '%', '&', '|', '^', '<<', '>>'] as const
const RELATIONS = ['=', '!=', '<', '<=', '>', '>='] as const
const SIZES = [1, 1, 2, 4] as const
const CONSTANTS = [0, 1, 2, 5, 6, 17, 64, 255, 256, 0x0f, 0xf0, 0x1fff, 0x800, 0xffff, 0x7fffffff, 0xffffffff] as const

const WLAN = [
  'type mgt',
  'type ctl',
  'type data',
  'type mgt subtype beacon',
  'type ctl subtype ack',
  'subtype qos-data',
  'dir tods',
  'dir fromds',
  'dir nods',
  'dir dstods',
  'wlan[0] & 8 != 0',
  'radio[4] & 2 = 2',
] as const
const WLAN_DIRECTIONS = [
  '',
  'src ',
  'dst ',
  'src and dst ',
  'addr1 ',
  'addr2 ',
  'addr3 ',
  'addr4 ',
  'ra ',
  'ta ',
] as const
const CHAINS = ['ip', 'ip6', ''] as const
const LOGICAL = ['inbound', 'outbound', 'ifindex 1', 'iso', 'clnp', 'esis', 'isis', 'llc i', 'llc s', 'llc u'] as const

/**
 * A filter expression of nesting `depth` that asks for what the packets of
 * `randomPacket` are made of. Some ask for what the link type does not have.
 * Geneve over IEEE 802.11 is left out, because libpcap then stores where the
 * outer headers lie in the place of the inner ones.
 */
export function randomFilter(random: Random, depth: number, linkType: ClassicLinkType = 'EN10MB'): string {
  if (depth > 0 && !isWireless(linkType) && random.below(12) === 0)
    return `${random.pick(['geneve', 'geneve 5'])} and (${randomFilter(random, depth - 1)})`
  return randomOperation(random, depth, linkType)
}

function randomOperation(random: Random, depth: number, linkType: ClassicLinkType): string {
  if (depth === 0 || random.below(5) === 0) return randomPrimitive(random, linkType)
  const left = randomOperation(random, depth - 1, linkType)
  switch (random.below(5)) {
    case 0:
      return `not (${left})`
    case 1:
    case 2:
      return `(${left}) and (${randomOperation(random, depth - 1, linkType)})`
    default:
      return `(${left}) or (${randomOperation(random, depth - 1, linkType)})`
  }
}

function isWireless(linkType: ClassicLinkType): boolean {
  return /^IEEE802_11/.test(linkType)
}

function randomPrimitive(random: Random, linkType: ClassicLinkType): string {
  const isWlan = isWireless(linkType)
  switch (random.below(isWlan ? 6 : 14)) {
    case 0:
      if (isWlan) return random.pick(WLAN)
      // Of SLIP libpcap 1.10.3 says `outbound` of every first byte but 0; later ones say it of 1.
      return linkType === 'SLIP' ? 'inbound' : random.pick(LOGICAL)
    case 1:
      if (isWlan) return `wlan ${random.pick(WLAN_DIRECTIONS)}host ${random.pick(MACS)}`
      return `${random.pick(CHAINS)} protochain ${random.pick([6, 17, 58, 44, 51, 59])}`.trim()
    default:
      return randomCommonPrimitive(random)
  }
}

function randomCommonPrimitive(random: Random): string {
  const direction = random.pick(DIRECTIONS)
  switch (random.below(17)) {
    case 16:
      return randomQuestions(random)
    case 0:
      return random.pick(NAMES)
    case 1:
      return random.pick(LINK_NAMES)
    case 2:
      return `${random.pick(['', '', 'ip ', 'arp '])}${direction}host ${random.pick(HOSTS)}`
    case 3:
      return `${direction}net ${random.pick(NETS)}`
    case 4:
      return `${direction}host ${random.pick(HOSTS6)}`
    case 5:
      return `${direction}net ${random.pick(NETS6)}`
    case 6:
      return `ether ${direction}host ${random.pick(MACS)}`
    case 7:
      return `${random.pick(['', 'tcp ', 'udp ', 'sctp '])}${direction}port ${random.pick(PORTS)}`
    case 8:
      return `${random.pick(['', 'tcp ', 'udp '])}${direction}portrange ${random.pick(PORTS)}-${random.pick(PORTS)}`
    case 9:
      return random.pick(['vlan', 'vlan 5', 'vlan 6', 'vlan', 'mpls', 'mpls 42', 'pppoes', 'pppoes 7', 'pppoed'])
    case 10:
      return `${random.pick(['less', 'greater'])} ${random.pick([40, 60, 80, 200])}`
    case 11:
      return `${random.pick(['ip', 'ip6'])} proto ${random.pick([1, 6, 17, 44, 58])}`
    default: {
      const left = randomArithmetic(random, random.below(3))
      return `${left} ${random.pick(RELATIONS)} ${randomArithmetic(random, random.below(2))}`
    }
  }
}

function randomArithmetic(random: Random, depth: number): string {
  if (depth === 0) {
    if (random.below(3) === 0) return String(random.pick(CONSTANTS))
    return random.below(12) === 0 ? 'len' : randomAccess(random, String(random.pick([0, 1, 2, 6, 9, 12, 13, 16, 20])))
  }
  if (random.below(4) === 0) return randomAccess(random, randomArithmetic(random, depth - 1))
  const operator = random.pick(OPERATORS)
  const left = randomArithmetic(random, depth - 1)
  // libpcap refuses constant shifts above 31 and division by a constant zero.
  if (operator === '<<' || operator === '>>')
    return `(${left} ${operator} ${random.pick(['1', '2', '4', '31', 'ip[0]'])})`
  if (operator === '/' || operator === '%') return `(${left} ${operator} ${random.pick(['3', '4', '256', 'ip[6]'])})`
  return `(${left} ${operator} ${randomArithmetic(random, depth - 1)})`
}

function randomAccess(random: Random, offset: string): string {
  return `${random.pick(BASES)}[${offset}:${random.pick(SIZES)}]`
}
