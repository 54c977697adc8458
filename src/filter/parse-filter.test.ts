import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FilterError, type FilterOptions, parseFilter, printExpression } from './index.js'

/** The expression as canonical text: every qualifier written, every name resolved. */
function canonical(text: string, options?: FilterOptions): string {
  return printExpression(parseFilter(text, options).expression)
}

function assertAll(cases: Readonly<Record<string, string>>, options?: FilterOptions): void {
  for (const [text, expected] of Object.entries(cases)) assert.equal(canonical(text, options), expected, text)
}

/** Each text is refused, with a message that says this. */
function assertRefused(cases: Readonly<Record<string, RegExp>>, options?: FilterOptions): void {
  for (const [text, message] of Object.entries(cases)) {
    assert.throws(
      () => parseFilter(text, options),
      (error) => error instanceof FilterError && message.test(error.message),
      text,
    )
  }
}

test('an empty expression matches everything', () => {
  assert.deepEqual(parseFilter(' \t\n'), { text: ' \t\n', expression: null, linkType: 'EN10MB' })
})

test('the tree carries spans and resolved values', () => {
  assert.deepEqual(parseFilter('src net 10.1 or not tcp').expression, {
    kind: 'or',
    left: {
      kind: 'address',
      protocol: null,
      direction: 'src',
      family: 4,
      words: [0x0a010000],
      mask: [0xffff0000],
      span: { start: 8, end: 12 },
    },
    right: {
      kind: 'not',
      operand: { kind: 'ip-protocol', family: null, protocol: 6, span: { start: 20, end: 23 } },
      span: { start: 16, end: 23 },
    },
    span: { start: 8, end: 23 },
  })
})

test('and, or: one precedence, from the left; not binds tighter', () => {
  assertAll({
    'tcp or udp and ip': '(tcp or udp) and ip',
    'tcp and udp or ip': '(tcp and udp) or ip',
    'tcp or (udp and ip)': 'tcp or (udp and ip)',
    'not tcp and ip': 'not tcp and ip',
    'not (tcp and ip)': 'not (tcp and ip)',
    '! ! tcp || ip': 'not not tcp or ip',
    '((tcp))': 'tcp',
  })
})

test('a value inherits the qualifiers before it', () => {
  assertAll({
    'tcp dst port ftp or ssh or 443': 'tcp dst port 21 or tcp dst port 22 or tcp dst port 443',
    'host 10.1.1.1 and (10.1.1.2 or 10.1.1.3)': 'host 10.1.1.1 and (host 10.1.1.2 or host 10.1.1.3)',
    'port (80 or 443)': 'port 80 or port 443',
    'not host 10.1.1.1 and 10.1.1.2': 'not host 10.1.1.1 and host 10.1.1.2',
    'port not 53 and not arp': 'not port 53 and not arp',
    'port 80 or (443 and not 22)': 'port 80 or (port 443 and not port 22)',
    'port 80 or (((443)))': 'port 80 or port 443',
    'host (10.0.0.1 and not (10.0.0.2 or 10.0.0.3))': 'host 10.0.0.1 and not (host 10.0.0.2 or host 10.0.0.3)',
    'port 80 or (udp port 53 or 54) or 443': 'port 80 or (udp port 53 or udp port 54) or port 443',
  })
  assertRefused({
    'tcp or 53': /"53" has no qualifier/,
    '(port 80) or 443': /"443" has no qualifier/,
    'ip[0] = 1 or 443': /"443" has no qualifier/,
    'port (80 or tcp)': /"tcp" cannot stand here/,
    'port 80 or (443 or udp)': /has no qualifier|cannot stand here/,
  })
})

test('hosts and networks', () => {
  assertAll({
    'host 192.0.2.1': 'host 192.0.2.1',
    'src or dst host 192.0.2.1': 'host 192.0.2.1',
    'dst and src 192.0.2.1': 'src and dst host 192.0.2.1',
    'host 10.1': 'net 10.1.0.0/16',
    'net 10': 'net 10.0.0.0/8',
    'net 172.16': 'net 172.16.0.0/16',
    'net 0.0.0.0/0': 'net 0.0.0.0/0',
    'src net 192.168.1.0/24': 'src net 192.168.1.0/24',
    'net 10.0.1.0 mask 255.0.255.0': 'net 10.0.1.0 mask 255.0.255.0',
    'host 0x7f000001': 'host 127.0.0.1',
    'arp host 10.0.0.1': 'arp host 10.0.0.1',
    'dst 2001:DB8:0:0::1': 'dst host 2001:db8::1',
    'ip6 net 2001:db8::/32': 'ip6 net 2001:db8::/32',
    'ether src 0a:b:c:d:e:f': 'ether src host 0a:0b:0c:0d:0e:0f',
  })
  assert.match(canonical('decnet src 1.2'), /^\(decnet\[2\] & 7 = 6 and decnet\[17:2\] = 516\) or /)
  assertRefused({
    'net 192.168/8': /non-network bits set; write 192\.0\.0\.0\/8$/,
    'net 2001:db8::1/32': /non-network bits set; write 2001:db8::\/32$/,
    'net 10.0.0.0/33': /at most 32/,
    'host 10.0.0.0/8': /write net before it/,
    'src 10.0.0.0/8': /write net before it/,
    'host 256.0.0.1': /no IPv4 address/,
    'ip6 host 1.2.3.4': /"ip6" cannot qualify an IPv4 address/,
    'ip host ::1': /"ip" cannot qualify an IPv6 address/,
    'tcp host 1.2.3.4': /"tcp" cannot qualify an IPv4 address/,
    'host 00:11:22:33:44:55': /MAC address; write ether host/,
    'addr1 1.2.3.4': /802\.11/,
    'decnet host 64.1': /AREA\.NODE/,
  })
})

test('ports, by number and by name', () => {
  assertAll({
    'port domain': 'port 53',
    'port http': 'tcp port 80',
    'port tftp': 'udp port 69',
    'sctp port 36412': 'sctp port 36412',
    'port s1ap': 'sctp port 36412',
    'udp portrange 68-bootps': 'udp portrange 67-68',
    'portrange 80': 'port 80',
    'port \\0x50': 'port 80',
  })
  assertRefused({
    'udp port ssh': /"ssh" uses tcp, not udp/,
    'port nonsense': /no service is called "nonsense"/,
    'port 65536': /at most 65535/,
    'port 1.2.3.4': /address, not a port/,
    'ip port 80': /"ip" cannot qualify a port/,
    'portrange 1-2-3': /no range of ports/,
    'portrange http': /no range of ports/,
    'ta port 80': /802\.11/,
  })
})

test('protocols', () => {
  assertAll({
    'ip proto 6': 'ip proto 6',
    'proto \\tcp': 'tcp',
    'proto ospf': 'proto 89',
    'ip6 proto ipv6-icmp': 'icmp6',
    'ether proto 0x0806': 'arp',
    'ether proto lldp': 'ether proto 0x88cc',
    'ip protochain \\udp': 'ip protochain 17',
    'iso proto \\isis': 'isis',
    'isis proto 18 or l1 or csnp': 'isis proto 18 or l1 or csnp',
    'vrrp or carp': 'vrrp or vrrp',
    'llc rnr or llc XID or llc s': 'llc rnr or llc xid or llc s',
  })
  assertRefused({
    'ip proto tcp': /"tcp" cannot stand here/,
    'ip proto 256': /at most 255/,
    'ether proto 1500': /at most 255/,
    'tcp proto 6': /"tcp" cannot qualify a protocol/,
    'geneve and protochain 4': /fixed length/,
    link: /asks nothing/,
    'proto nonsense': /no protocol is called/,
  })
})

test('encapsulation changes what stands behind it', () => {
  assertAll({
    'vlan 5 and vlan and ip': 'vlan 5 and vlan and ip',
    'mpls 1023 and mpls and host 10.0.0.1': 'mpls 1023 and mpls and host 10.0.0.1',
    'pppoes 7 and tcp': 'pppoes 7 and tcp',
    'vxlan 7 and ether host 00:00:5e:00:01:01': 'vxlan 7 and ether host 00:00:5e:00:01:01',
    'vlan (((5)))': 'vlan 5',
  })
  assertRefused({
    'vlan 4096': /at most 4095/,
    'mpls 1048576': /at most 1048575/,
    'mpls and vlan': /vlan cannot follow mpls/,
    'mpls and arp': /after mpls/,
    'pppoes and vlan': /link type PPP has no VLAN/,
    'pppoes and ether host 1:2:3:4:5:6': /link type PPP has no MAC/,
  })
})

test('arithmetic has the precedence of the grammar of libpcap', () => {
  assertAll({
    'tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn': 'tcp[13] & (2 | 16) = 2',
    'ip[2:2] - ((ip[0] & 0xf) << 2) > 0': 'ip[2:2] - ((ip[0] & 15) << 2) > 0',
    'len = 1 | 2 & 3 << 4 + 5 * 6': 'len = 1 | (2 & (3 << (4 + (5 * 6))))',
    'len = 9 - 3 - 2': 'len = (9 - 3) - 2',
    'len = 8 % 5 + 1': 'len = 8 % (5 + 1)',
    'len = 1 ^ 2 | 4': 'len = 1 ^ (2 | 4)',
    'len = 2 * 3 ^ 4': 'len = 2 * (3 ^ 4)',
    'len = - 3 + 4': 'len = (-3) + 4',
    'len = - 3 ^ 4': 'len = -(3 ^ 4)',
    '(5) = (len)': '5 = len',
    'byte 8 < 5 or byte 1 & 3': 'ether[8] < 5 or ether[1] & 3 != 0',
    'less 64 or greater 1500': 'len <= 64 or len >= 1500',
  })
  assertRefused({
    'ip[0:3] = 1': /1, 2 or 4/,
    'len / 0 = 1': /divides by zero/,
    'len >> 32 = 1': /at most 31/,
    'iso[0] = 1': /has no bytes that/,
    'len + 1': /ends too early/,
    '(len + 1) and tcp': /"and" cannot stand here/,
    'byte 1 >= 2': /cannot stand here/,
    'byte 1 < 256': /at most 255/,
  })
})

test('what only some link types have', () => {
  const wlan = { linkType: 'IEEE802_11_RADIO' }
  assertAll(
    {
      'type mgt subtype beacon': 'type 0x0 subtype 0x80',
      'wlan subtype ack or dir tods': 'type 0x4 subtype 0xd0 or dir 1',
      'wlan ra 1:2:3:4:5:6': 'ether ra host 01:02:03:04:05:06',
      'radio[2] = 1': 'radio[2] = 1',
    },
    wlan,
  )
  assertRefused({ 'type foo': /no 802\.11 frame type/, 'subtype 0': /cannot stand here/, 'dir 4': /outside/ }, wlan)
  assertAll({ 'link host $e': 'ether host $0e', broadcast: 'broadcast' }, { linkType: 'ARCNET' })
  assertAll({ 'on wlan0 and action block': 'ifname wlan0 and action drop' }, { linkType: 'PFLOG' })
  assertAll({ 'vpi (1 or 2) and bcc': '(vpi = 1 or vpi = 2) and (vpi = 0 and vci = 2)' }, { linkType: 'SUNATM' })
  assertAll({ 'fisu or opc > 5': 'fisu or opc > 5' }, { linkType: 'MTP2' })
  assertAll({ 'ether host 1:2:3:4:5:6': 'ether host 01:02:03:04:05:06' }, { linkType: 'SOMETHING_NEW' })
  assertRefused(
    { 'ether host 1:2:3:4:5:6': /no MAC address/, vlan: /no VLAN tag/, arp: /no packet/ },
    { linkType: 'RAW' },
  )
  assertRefused({ tcp: /does not say what it carries/ }, { linkType: 'USB_LINUX' })
  assertRefused({ 'type mgt': /no 802\.11 header/, fisu: /no SS7/, 'action pass': /no packet filter log/ })
  assertRefused({ inbound: /does not record inbound/, 'ifindex 1': /ifindex/ }, { live: false })
  assertRefused({ 'ip broadcast': /netmask/ }, { netmask: null })
})

test('names are looked up only by the resolver that is passed', () => {
  const resolver = {
    host: (name: string) => (name === 'web' ? ['192.0.2.1', '2001:db8::1'] : undefined),
    network: (name: string) => (name === 'office' ? '10.20' : undefined),
    ethernet: (name: string) => (name === 'web' ? '00:00:5e:00:53:01' : undefined),
  }
  assertAll(
    {
      'host web': 'host 192.0.2.1 or host 2001:db8::1',
      'ip6 dst web': 'ip6 dst host 2001:db8::1',
      'net office': 'net 10.20.0.0/16',
      'ether host web': 'ether host 00:00:5e:00:53:01',
      'ip gateway web': 'ether host 00:00:5e:00:53:01 and (ip and not ip host 192.0.2.1)',
    },
    { resolver },
  )
  assertRefused({ 'host foo': /no host or network is called "foo"; correct it/ }, { resolver })
  const plain = /"foo"; write an address$/
  assertRefused({ 'host foo': plain, 'net foo': plain, 'gateway foo': plain })
  assertRefused({ 'host foo': /"foo"; ask somebody$/ }, { resolver: { remedy: 'ask somebody' } })
})

test('depth and length that would exhaust the stack are refused or read, but never crash', () => {
  const parens = (depth: number) => `${'('.repeat(depth)}tcp${')'.repeat(depth)}`
  assert.equal(canonical(parens(200)), 'tcp')
  for (const text of [
    parens(100_000),
    `${'not '.repeat(100_000)}tcp`,
    `len = ${'-'.repeat(100_000)}1`,
    `len = 1${' + 1'.repeat(100_000)}`,
    `${'tcp and udp or '.repeat(10_000)}ip`,
    `port ${'('.repeat(100_000)}80`,
    `${'link['.repeat(100_000)}0`,
    `vlan ${'('.repeat(100_000)}1`,
  ]) {
    assert.throws(() => parseFilter(text), /nests more than 256 levels/, text.slice(0, 40))
  }
  const long = Array.from({ length: 30_000 }, (_, index) => `host 10.${index >> 8}.${index & 255}.1`).join(' or ')
  const { expression } = parseFilter(long)
  // Not `equal`, which would print both.
  assert.ok(canonical(canonical(long)) === canonical(long), 'a chain of 30,000 hosts does not survive printing')
  assert.deepEqual(expression?.span, { start: 5, end: long.length })
})
