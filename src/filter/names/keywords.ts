/**
 * The reserved words of pcap-filter(7). A word that has several spellings is
 * mapped to one of them, so that the parser knows one word for each meaning.
 * Words are lower case only, as libpcap takes them; any other spelling is a
 * name.
 */

/** Words that can qualify a value (`tcp port 80`) or stand alone (`tcp`). */
const PROTOCOL_NAMES = [
  ...['link', 'ip', 'arp', 'rarp', 'sctp', 'tcp', 'udp', 'icmp', 'igmp', 'igrp', 'pim', 'vrrp', 'carp', 'radio'],
  ...['ip6', 'icmp6', 'ah', 'esp', 'atalk', 'aarp', 'decnet', 'lat', 'sca', 'moprc', 'mopdl'],
  ...['iso', 'esis', 'isis', 'l1', 'l2', 'iih', 'lsp', 'snp', 'csnp', 'psnp', 'clnp', 'stp', 'ipx', 'netbeui'],
] as const

export type ProtocolName = (typeof PROTOCOL_NAMES)[number]

const OTHER_WORDS = [
  ...['src', 'dst', 'host', 'net', 'mask', 'port', 'portrange', 'proto', 'protochain', 'gateway'],
  ...['type', 'subtype', 'dir', 'addr1', 'addr2', 'addr3', 'addr4', 'ra', 'ta'],
  ...['less', 'greater', 'byte', 'broadcast', 'multicast', 'and', 'or', 'not', 'len'],
  ...['inbound', 'outbound', 'ifindex', 'vlan', 'mpls', 'pppoed', 'pppoes', 'geneve', 'vxlan', 'llc'],
  ...['lane', 'metac', 'bcc', 'oam', 'oamf4', 'oamf4ec', 'oamf4sc', 'sc', 'ilmic', 'connectmsg', 'metaconnect'],
  ...['vpi', 'vci', 'ifname', 'rset', 'rnr', 'srnr', 'reason', 'action'],
  ...['fisu', 'lssu', 'msu', 'hfisu', 'hlssu', 'hmsu', 'sio', 'opc', 'dpc', 'sls', 'hsio', 'hopc', 'hdpc', 'hsls'],
]

const ALIASES: Readonly<Record<string, string>> = {
  ether: 'link',
  ppp: 'link',
  slip: 'link',
  fddi: 'link',
  tr: 'link',
  wlan: 'link',
  'es-is': 'esis',
  'is-is': 'isis',
  direction: 'dir',
  address1: 'addr1',
  address2: 'addr2',
  address3: 'addr3',
  address4: 'addr4',
  length: 'len',
  on: 'ifname',
  ruleset: 'rset',
  rulenum: 'rnr',
  subrulenum: 'srnr',
  lsu: 'lssu',
}

/** Each spelling of a reserved word and the word the parser knows it by. */
export const KEYWORDS: ReadonlyMap<string, string> = new Map([
  ...[...PROTOCOL_NAMES, ...OTHER_WORDS].map((word): [string, string] => [word, word]),
  ...Object.entries(ALIASES),
])

const PROTOCOL_SET: ReadonlySet<string> = new Set(PROTOCOL_NAMES)

/** Whether the word names a protocol, by its canonical spelling. */
export function isProtocolName(word: string): word is ProtocolName {
  return PROTOCOL_SET.has(word)
}
