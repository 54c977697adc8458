import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { differentShapes, tenShapes } from '../../bench/policy-rules.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomFilter } from '../../test/support/random-filter.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { FilterError, parseFilter } from '../filter/index.js'
import {
  buildGraph,
  findShadows,
  interpret,
  type ListedRule,
  lower,
  type SetLookup,
  type ShadowedRule,
  UnsupportedError,
  unreachableRules,
} from './index.js'

const sets = new Set(['some', 'other'])

/** One with a leading `~` is not final. */
function listed(text: string): ListedRule {
  return { condition: lower(parseFilter(text.replace(/^~/, ''), { sets }).expression), isFinal: !text.startsWith('~') }
}

/** Sets of half of all addresses each, which overlap. */
const inSet: SetLookup = (set, _family, words) => ((words[0]! >>> set.length) & 1) === 1

const shadowed = (...texts: string[]) =>
  findShadows(texts.map(listed)).shadowed.map(({ rule, by }) => `${rule} by ${by.join(' and ')}`)

describe('rules that earlier ones shadow', () => {
  it('are those whose ways all lie in ways of one rule, the first of them', () => {
    assert.deepEqual(shadowed('udp', 'udp', 'udp dst port 53'), ['1 by 0', '2 by 0'])
    assert.deepEqual(shadowed('src net 10.0.0.0/8', 'src net 10.64.0.0/10', 'src host 10.64.1.2 and udp'), [
      '1 by 0',
      '2 by 0',
    ])
    assert.deepEqual(shadowed('ip6 src net 2001:db8::/32', 'tcp and src host 2001:db8::7'), ['1 by 0'])
    assert.deepEqual(shadowed('ip[8] > 60', 'ip[8] > 70', 'ip[8] = 64 and udp'), ['1 by 0', '2 by 0'])
    assert.deepEqual(shadowed('ip src net @some', 'ip src net @some and tcp', 'ip src net @other'), ['1 by 0'])
    assert.deepEqual(shadowed('', 'arp'), ['1 by 0'])
    assert.deepEqual(shadowed('udp', 'tcp port 80', 'tcp dst port 80'), ['2 by 1'])
  })

  it('are those that earlier rules take together, way by way, and those without any way', () => {
    assert.deepEqual(shadowed('src host 10.0.0.1', 'dst host 10.0.0.1', 'udp', 'ip host 10.0.0.1'), ['3 by 0 and 1'])
    assert.deepEqual(shadowed('ip and arp'), ['0 by '])
  })

  it('are not those that anything is left for, nor any behind rules that are not final', () => {
    assert.deepEqual(shadowed('src net 10.0.0.0/9', 'src net 10.0.0.0/8', 'udp dst port 53', 'udp'), [])
    assert.deepEqual(shadowed('~udp', 'udp'), [])
    // A packet without the 41st byte is none for the first rule.
    assert.deepEqual(shadowed('ip[20] < 5', 'ip'), [])
  })

  it('are found in lists of thousands of rules, and where the search ends is said', () => {
    const texts = tenShapes(5000).map(({ match }) => match)
    const { shadowed: found, unsearchedFrom } = findShadows(
      [...texts, 'src net 64.0.0.0/2', 'tcp and src net 80.0.0.0/8'].map(listed),
    )
    assert.equal(unsearchedFrom, null)
    // ICMP from a host that is dropped whatever it sends, and the rule that was added last.
    assert.deepEqual(found.at(-1), { rule: 5001, by: [5000] })
    assert.deepEqual(found[0], { rule: 9, by: [0] })
    assert.equal(found.length, 501)
    const alike = findShadows(differentShapes(10_000).map(({ match }) => listed(match)))
    assert.ok(alike.unsearchedFrom !== null && alike.unsearchedFrom > 1000, `${alike.unsearchedFrom}`)
    for (const { by } of alike.shadowed) assert.deepEqual(by, [])
    // Each of too many ways to list, and too long to be compared pair by pair.
    const hosts = (net: number) =>
      Array.from({ length: 300 }, (_, n) => `host 10.${net}.${n >> 8}.${n & 255}`).join(' or ')
    assert.equal(findShadows([hosts(1), hosts(2), 'udp'].map(listed)).unsearchedFrom, 1)
  })

  it('are never met by random packets, and are those that the search through the graph finds', (context) => {
    const random = seededRandom(context, 'ir/shadows')
    const tally = { both: 0, onlyGraph: 0, onlyHere: 0 }
    for (let round = 0; round < 40; round++) {
      const texts = Array.from({ length: 30 }, () => randomText(random))
      const rules = texts.map(listed)
      const found = new Map(findShadows(rules).shadowed.map((one) => [one.rule, one]))
      const graph = buildGraph(rules.map(({ condition }) => condition))
      for (let probe = 0; probe < 40; probe++) {
        const rule = interpret(graph, randomPacket(random), inSet)
        assert.ok(rule === null || !found.has(rule), `${rule} is met:\n${texts.join('\n')}`)
      }
      for (const one of found.values()) assert.ok(isConfirmed(rules, one, random), explain(texts, one))
      compareWithPairs(rules, found, tally)
    }
    context.diagnostic(JSON.stringify(tally))
    // What is left to the graph are ways of strange rules that no answer in common leads to: few, and of some lists a tenth.
    assert.ok(tally.both > 100 && tally.onlyGraph < tally.both / 4)
  })
})

/** Of the first rule that shadows each. */
function compareWithPairs(
  rules: readonly ListedRule[],
  found: ReadonlyMap<number, ShadowedRule>,
  tally: { both: number; onlyGraph: number; onlyHere: number },
): void {
  rules.forEach((rule, index) => {
    const before = rules
      .slice(0, index)
      .findIndex((earlier) => earlier.isFinal && unreachableRules([earlier, rule]).includes(1))
    if (before >= 0) tally[found.has(index) ? 'both' : 'onlyGraph']++
    else if (found.has(index)) tally.onlyHere++
  })
}

/** The graph says so as well, or no packet of many that the rule matches comes past those that shadow it. */
function isConfirmed(rules: readonly ListedRule[], { rule, by }: ShadowedRule, random: Random): boolean {
  const part = [...by, rule].map((index) => rules[index]!)
  if (unreachableRules(part).includes(by.length)) return true
  const graph = buildGraph(part.map(({ condition }) => condition))
  return Array.from({ length: 300 }, () => interpret(graph, randomPacket(random), inSet)).every(
    (met) => met !== by.length,
  )
}

function explain(texts: readonly string[], { rule, by }: ShadowedRule): string {
  return `${texts[rule]} by ${by.map((index) => texts[index]).join(' and ')}`
}

const HOSTS = ['10.0.0.1', '10.0.0.2', '192.168.1.7', '224.0.0.5']
const SHAPES: readonly ((random: Random) => string)[] = [
  (random) => `src host ${random.pick(HOSTS)}`,
  (random) => `${random.pick(['tcp', 'udp'])} port ${random.pick([53, 80, 443])}`,
  (random) => `ip host ${random.pick(HOSTS)} and port ${random.pick([53, 80])}`,
  (random) => `src net ${random.pick(['10.0.0.0/8', '10.0.0.0/30', '192.168.0.0/16', '224.0.0.0/4'])}`,
  (random) => `${random.pick(['udp', 'tcp'])} dst port ${random.pick([53, 80, 443])}`,
  (random) => `dst portrange ${random.pick(['0-1023', '50-100', '400-500'])} and udp`,
  (random) => `ip[8] ${random.pick(['>', '<', '='])} ${random.below(256)}`,
  (random) => `ip6 src net 2001:db8::/${random.pick([32, 48, 64])}`,
  (random) =>
    `${random.pick(['', 'not '])}ip src net @${random.pick(['some', 'other'])} and ${random.pick(['ip', 'tcp'])}`,
]

function randomText(random: Random): string {
  for (;;) {
    const text = random.below(3) > 0 ? random.pick(SHAPES)(random) : randomFilter(random, random.below(3))
    try {
      listed(text)
      return random.below(8) === 0 ? `~${text}` : text
    } catch (error) {
      if (!(error instanceof FilterError || error instanceof UnsupportedError)) throw error
    }
  }
}
