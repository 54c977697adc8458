import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { seededRandom } from '../../test/support/random.js'
import { skipUnless } from '../../test/support/require.js'
import { type Expression, FilterError, parseFilter, printExpression } from './index.js'

/** Numbers from 0 to below `limit`. */
type Random = (limit: number) => number

function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[random(items.length)]!
}

const PROTOCOLS = [
  ...[
    'ip',
    'ip6',
    'arp',
    'rarp',
    'tcp',
    'udp',
    'sctp',
    'icmp',
    'icmp6',
    'igmp',
    'igrp',
    'pim',
    'vrrp',
    'carp',
    'ah',
    'esp',
  ],
  ...[
    'ether',
    'wlan',
    'atalk',
    'aarp',
    'decnet',
    'lat',
    'sca',
    'moprc',
    'mopdl',
    'iso',
    'esis',
    'isis',
    'clnp',
    'l1',
    'l2',
  ],
  ...['iih', 'lsp', 'snp', 'csnp', 'psnp', 'stp', 'ipx', 'netbeui', 'radio'],
]
const USUAL = ['', '', '', 'ip ', 'tcp ', 'udp ', 'ip6 ', 'arp ', 'ether ']
const DIRECTIONS = ['', '', 'src ', 'dst ', 'src or dst ', 'src and dst ', 'dst or src ', 'addr1 ', 'ra ']
const IPV4 = ['10.0.0.1', '192.0.2.7', '172.16', '10.1.2', '10.300.1.1', '0x7f000001', '10']
const NETWORKS = [
  '10.0.0.0/8',
  '192.0.2.0/24',
  '192.0.2.1/24',
  '10.0.0.0/33',
  '10.1.0.0 mask 255.255.0.0',
  '172.16',
  '10',
]
const IPV6 = ['::1', '2001:db8::1', 'fe80::/10', '2001:db8::/32', '2001:db8::1/32', 'ff02::1/128']
const MACS = ['00:00:5e:00:53:01', '1-2-3-4-5-6', '0000.5e00.5301', '00005e005301', '1.2.3.4.5.6', '$0e']
const PORTS = ['53', '0', '65535', '65536', '0x50', '0120', 'domain', 'http', 'tftp', 'ntp']
const RANGES = ['1-1023', '6000-6008', '80', '90-80', '1-', '1-70000']
const PROTOCOL_VALUES = ['6', '17', '\\tcp', '\\udp', 'ospf', '\\icmp', '58', '0x800']

/** One primitive. About one in six is refused: not everything goes together. */
function randomPrimitive(random: Random): string {
  const protocol = pick(random, USUAL)
  const direction = pick(random, DIRECTIONS)
  switch (random(16)) {
    case 0:
      return `${protocol}${direction}host ${pick(random, IPV4)}`
    case 1:
      return `${protocol}${direction}net ${pick(random, NETWORKS)}`
    case 2:
      return `${protocol}${direction}${pick(random, ['host', 'net'])} ${pick(random, IPV6)}`
    case 3:
      return `${pick(random, ['', 'ether '])}${direction}host ${pick(random, MACS)}`
    case 4:
      return `${pick(random, ['', '', 'tcp ', 'udp ', 'sctp ', 'ip '])}${direction}port ${pick(random, PORTS)}`
    case 5:
      return `${pick(random, ['', '', 'tcp ', 'udp ', 'sctp ', 'ip6 '])}${direction}portrange ${pick(random, RANGES)}`
    case 6:
      return pick(random, PROTOCOLS)
    case 7:
      return `${pick(random, ['', 'ip ', 'ip6 ', 'tcp '])}proto ${pick(random, PROTOCOL_VALUES.slice(0, -1))}`
    case 8:
      return `ether proto ${pick(random, ['\\ip', '\\arp', '0x800', '0x88cc', '0x42', 'tcp'])}`
    case 9:
      return `${pick(random, ['', '', 'ip ', 'ip6 ', 'ether ', 'tcp '])}${pick(random, ['broadcast', 'multicast'])}`
    case 10:
      return pick(random, ['vlan', 'vlan 5', 'vlan 4096', 'mpls', 'mpls 7', 'pppoes', 'pppoes 1', 'pppoed', 'vlan (7)'])
    case 11:
      return pick(random, [
        'less 64',
        'greater 1000',
        'byte 0 & 1',
        'byte 6 > 3',
        'llc',
        'llc u',
        'llc rnr',
        'type mgt',
      ])
    case 12:
      return pick(random, [
        'inbound',
        'outbound',
        'isis proto 18',
        'iso proto 131',
        'fisu',
        'vpi 3',
        'action pass',
        'len',
      ])
    case 13:
      return `host ${pick(random, IPV4.slice(0, 2))} and (${pick(random, IPV4.slice(0, 3))} or not ${pick(random, IPV4)})`
    default:
      return `${randomArithmetic(random, 2)} ${pick(random, ['=', '==', '!=', '<', '<=', '>', '>='])} ${randomArithmetic(random, 1)}`
  }
}

function randomArithmetic(random: Random, depth: number): string {
  if (depth === 0 || random(3) === 0) {
    const bases = ['ip', 'tcp', 'udp', 'ether', 'ip6', 'icmp', 'arp', 'icmp6', pick(random, PROTOCOLS)]
    const size = pick(random, ['', '', ':1', ':2', ':4', ':3'])
    const byte = `${pick(random, bases)}[${random(40)}${size}]`
    return pick(random, [byte, byte, String(random(70_000)), 'len', 'tcp-syn', 'icmp-echo'])
  }
  const operator = pick(random, ['+', '-', '*', '/', '&', '|', '^', '%', '<<', '>>'])
  const left = randomArithmetic(random, depth - 1)
  const right = operator === '<<' || operator === '>>' ? String(random(36)) : randomArithmetic(random, depth - 1)
  return pick(random, [
    `${left} ${operator} ${right}`,
    `(${left} ${operator} ${right})`,
    `- ${left} ${operator} ${right}`,
  ])
}

function randomExpression(random: Random, depth: number): string {
  if (depth === 0) return randomPrimitive(random)
  const left = randomExpression(random, depth - 1)
  switch (random(6)) {
    case 0:
      return `not ${left}`
    case 1:
      return `(${left})`
    case 2:
      // What a value inherits, or that it may not.
      return `${left} ${pick(random, ['and', 'or'])} ${pick(random, ['53', '10.0.0.9', '(80 or 443)', 'not 22'])}`
    default:
      return `${left} ${pick(random, ['and', 'or', '&&', '||'])} ${randomExpression(random, depth - 1)}`
  }
}

/** The text with one word left out, doubled or swapped with the next. */
function damaged(random: Random, text: string): string {
  const words = text.match(/\S+/g) ?? []
  const at = random(words.length)
  const word = words[at]!
  words.splice(
    at,
    1,
    ...pick(random, [[], [word, word], [words[at + 1] ?? 'or', word], [word, pick(random, ['(', ')', 'not'])]]),
  )
  return words.join(' ')
}

/** The expression, or the error that refuses it. */
function read(text: string, linkType = 'EN10MB'): { expression: Expression | null } | FilterError {
  try {
    return parseFilter(text, { linkType })
  } catch (error) {
    if (error instanceof FilterError) return error
    throw new Error(`"${text}" crashes the parser`, { cause: error })
  }
}

function withoutSpans(expression: Expression | null): unknown {
  return JSON.parse(JSON.stringify(expression, (key, value) => (key === 'span' ? undefined : value)))
}

test('what is printed parses to the same expression', (t) => {
  const { seed, below: random } = seededRandom(t, 'filter/random')
  let accepted = 0
  for (let index = 0; index < 5000; index++) {
    const text = randomExpression(random, random(4))
    const first = read(text)
    if (first instanceof FilterError) continue
    accepted++
    const printed = printExpression(first.expression)
    const note = `"${text}" prints as "${printed}" (SLUICE_SEED=${seed})`
    const second = read(printed)
    assert.ok(!(second instanceof FilterError), `${note}, which is refused: ${second}`)
    assert.deepEqual(withoutSpans(second.expression), withoutSpans(first.expression), note)
    assert.equal(printExpression(second.expression), printed, note)
  }
  t.diagnostic(`${accepted} of 5000 random expressions are accepted and survive printing`)
  assert.ok(accepted > 1000, `only ${accepted} expressions were accepted (SLUICE_SEED=${seed})`)
})

test('damaged expressions are refused inside the text, never with a crash', (t) => {
  const { seed, below: random } = seededRandom(t, 'filter/random')
  let refused = 0
  for (let index = 0; index < 5000; index++) {
    const text = damaged(random, damaged(random, randomExpression(random, random(4))))
    const error = read(text)
    if (!(error instanceof FilterError)) continue
    refused++
    const { start, end } = error.span
    assert.ok(start >= 0 && start <= end && end <= text.length, `"${text}" ${error} (SLUICE_SEED=${seed})`)
  }
  t.diagnostic(`${refused} of 5000 damaged expressions are refused`)
  assert.ok(refused > 1000, `only ${refused} expressions were refused (SLUICE_SEED=${seed})`)
})

/** How many expressions tcpdump is asked about; each costs a process. */
const ASKED = 280

/**
 * Answers that come from libpcap's optimiser, after it has found what can
 * never match or always divides by zero: a matter of its skill.
 */
const OF_THE_OPTIMISER = /expression rejects all packets|division by zero|modulus by zero|shift by more than 31/

/** What tcpdump makes of the expression; null when only its optimiser minds. */
function askTcpdump(text: string, linkType: string): { accepts: boolean | null; answer: string } {
  const options = ['-y', linkType, '-d', '--', text]
  const { status, stderr } = spawnSync('tcpdump', options, { encoding: 'utf8', timeout: 10_000 })
  const accepts = OF_THE_OPTIMISER.test(stderr) ? null : status === 0
  return { accepts, answer: stderr.trim() }
}

const LINK_TYPES = [
  ...['EN10MB', 'EN10MB', 'EN10MB', 'RAW', 'LINUX_SLL', 'LINUX_SLL2', 'PPP', 'NULL', 'LOOP', 'IPV4', 'IPV6', 'SLIP'],
  ...['IEEE802_11', 'IEEE802_11_RADIO', 'FRELAY', 'C_HDLC', 'PFLOG', 'SUNATM', 'MTP2', 'FDDI'],
]

/**
 * Values out of range that libpcap 1.10 compiles to what can never match, and
 * 1.11 refuses as we do.
 */
const REFUSED_SINCE_1_11 =
  /^the (LLC service access point|EtherType|protocol number|ISO protocol|IS-IS PDU type) .* too large/

test('tcpdump accepts and refuses the same expressions', { skip: skipUnless('tcpdump') }, (t) => {
  const { seed, below: random } = seededRandom(t, 'filter/random')
  let [asked, accepted] = [0, 0]
  for (let index = 0; index < ASKED; index++) {
    const whole = randomExpression(random, random(3))
    // A name at another place would make tcpdump ask the network for a host.
    const text =
      random(3) === 0 && !/[a-z\\]*(http|domain|tftp|ntp|ospf|\\)/.test(whole) ? damaged(random, whole) : whole
    const linkType = pick(random, LINK_TYPES)
    const ours = read(text, linkType)
    if (ours instanceof FilterError && REFUSED_SINCE_1_11.test(ours.message)) continue
    const { accepts, answer } = askTcpdump(text, linkType)
    asked++
    if (accepts === true) accepted++
    const verdict = ours instanceof FilterError ? `refused (${ours.message})` : 'accepted'
    const note = `"${text}" on ${linkType} is ${verdict} here, but tcpdump says "${answer}" (SLUICE_SEED=${seed})`
    assert.ok(accepts === null || accepts === !(ours instanceof FilterError), note)
  }
  t.diagnostic(`tcpdump agrees on ${asked} expressions, ${accepted} of them accepted`)
  assert.ok(accepted > 20, `tcpdump accepted only ${accepted} of ${asked} (SLUICE_SEED=${seed})`)
})
