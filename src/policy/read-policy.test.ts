import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomFilter } from '../../test/support/random-filter.js'
import { FilterError, parseFilter } from '../filter/index.js'
import { PolicyError, policy, printPolicy, type Rule, readPolicy } from './index.js'
import { makeRule } from './make-rule.js'
import type { WrittenRule } from './written.js'

/** What the operator sees of a policy that cannot be used. */
function faultsOf(text: string, file = 'policy.yaml'): string[] {
  try {
    readPolicy(text, file)
  } catch (error) {
    if (error instanceof PolicyError) return error.message.split('\n')
    throw error
  }
  throw new assert.AssertionError({ message: `accepted:\n${text}` })
}

const HEAD = 'rules:\n- action: drop\n  match: '

describe('a policy file', () => {
  it('names line and column of each fault, in the order of the file', () => {
    const text = [
      'rulez: 3',
      'sets:',
      '  blocked: [192.0.2.0/24]',
      '  broken: { fil: x }',
      'rules:',
      '  - action: dorp',
      '    match: udp',
      '  - action: limit',
      '    match: tcp',
      '    per: sorce',
      '    brust: 2000',
      '    for: 10 minutes',
      '  - match: arp',
      '  - { action: steer, cpu: many, match: 5 }',
      '  - drop udp',
    ].join('\n')
    assert.deepEqual(faultsOf(text), [
      'policy.yaml:1:1: this place has no "rulez"; did you mean "rules"?',
      'policy.yaml:4:3: "file" is missing here; write the path of a list',
      'policy.yaml:4:13: this place has no "fil"; did you mean "file"?',
      'policy.yaml:6:13: "action" is "dorp"; did you mean "drop"?',
      'policy.yaml:8:5: "rate" is missing here; write a rate such as 1000 pps, 10 Mbit/s or 5 MB/s',
      'policy.yaml:10:10: "per" is "sorce"; did you mean "source"?',
      'policy.yaml:11:5: a rule with action limit has no "brust"; did you mean "burst"?',
      'policy.yaml:12:10: "for" is "10 minutes"; write a time such as 30s, 10m, 1h or 2d',
      'policy.yaml:13:5: "action" is missing here; write pass, drop, count, divert, limit, sample, steer, forward or mark',
      'policy.yaml:14:27: "cpu" is "many"; write a whole number from 0 to 4095',
      'policy.yaml:14:40: "match" is 5; write an expression, in quotes where YAML needs them; "" is every packet',
      'policy.yaml:15:5: this is "drop udp"; write a rule, with action: and match:',
    ])
  })

  it('points into the expression, also in quotes; at its start where it is folded', () => {
    const wrong = [
      '"prt" has no qualifier before it that says what it is; write host prt',
      '  udp and prt 5',
      '          ^^^',
    ]
    for (const [text, place] of [
      [`${HEAD}udp and prt 5`, '3:18'],
      [`${HEAD}'udp and prt 5'`, '3:19'],
      [`${HEAD}"udp and prt 5"`, '3:19'],
      [`${HEAD}>-\n    udp and\n    prt 5`, '3:10'],
    ]) {
      const [first, ...rest] = faultsOf(text!)
      assert.equal(first, `policy.yaml:${place}: ${wrong[0]}`)
      assert.deepEqual(rest.slice(0, 2), wrong.slice(1))
    }
  })

  it('names contradictions of a rule at the option, and goes on to the other faults', () => {
    const text = `
sets: { blocked: [192.0.2.1/24, ::1] }
rules:
- { action: limit, match: src net @blokced, per: source, rate: 1 Mbit/s, burst: 100 packets }
- { action: drop, match: udp, name: a, for: 1m, until: "2026-12-01T08:00:00Z" }
- { action: drop, match: tcp, name: a }`
    assert.deepEqual(faultsOf(text), [
      'policy.yaml:2:19: "192.0.2.1/24" has bits set behind its prefix; write 192.0.2.0/24',
      'policy.yaml:4:35: there is no set "@blokced"; did you mean "@blocked"?',
      '  src net @blokced',
      '          ^^^^^^^^',
      'policy.yaml:4:81: the burst is in packets and the rate in bytes; write both in one unit',
      'policy.yaml:5:56: for and until contradict each other; write one of them',
      'policy.yaml:6:37: rules 2 and 3 are both called "a"; give one another name',
    ])
  })

  it('is refused where it is no YAML, or not a policy at all', () => {
    assert.match(faultsOf('rules: [')[0]!, /^policy\.yaml:1:\d+: Flow sequence .*; correct the YAML or JSON here$/)
    assert.match(faultsOf('rules: []\nrules: []')[0]!, /^policy\.yaml:2:1: Map keys must be unique/)
    assert.deepEqual(faultsOf(`${HEAD}!arp`), [
      'policy.yaml:3:10: Unresolved tag: !arp; put a text that begins with ! in quotes',
    ])
    for (const text of ['', '7', '[]', 'null', 'text'])
      assert.match(faultsOf(text)[0]!, /^policy\.yaml:1:1: this is .*; write rules: and a list of rules$/)
    assert.match(faultsOf('rules: &a [*a]')[0]!, /write a rule/)
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefgh'.replace(/./g, (c) => `${c}: &${c} [${`*${String.fromCharCode(c.charCodeAt(0) - 1)},`.repeat(10)}]\n`)}rules: *h`
    assert.match(faultsOf(bomb)[0]!, /aliases cannot be followed/)
  })

  it('can be JSON, indented by tabs as well', () => {
    const { rules } = readPolicy('{\n\t"rules": [\n\t\t{ "match": "!arp",\t"action": "drop" }\n\t]\n}\n', 'policy.json')
    assert.deepEqual(
      rules.map(({ name }) => name),
      ['drop !arp'],
    )
    assert.deepEqual(faultsOf('{"rules": [\n\t{"match": "arp", "action": "drp"}]}', 'policy.json'), [
      'policy.json:2:29: "action" is "drp"; did you mean "drop"?',
    ])
  })

  it('can have ten thousand rules', () => {
    const rule = (index: number) => `  - { action: drop, match: src host 10.${index >> 8}.${index & 255}.1 }\n`
    const { rules } = readPolicy(
      `rules:\n${Array.from({ length: 10_000 }, (_, index) => rule(index)).join('')}`,
      'many',
    )
    assert.equal(rules.length, 10_000)
    assert.equal(rules[9999]!.match, 'src host 10.39.15.1')
  })

  it('is the same value again after it was printed, as YAML and as JSON', (context) => {
    const random = seededRandom(context, 'policy/read-policy')
    for (let round = 0; round < 150; round++) {
      const value = randomPolicy(random)
      for (const format of ['yaml', 'json'] as const) {
        const text = printPolicy(value, format)
        assert.deepEqual(readPolicy(text, 'printed'), value, text)
      }
    }
  })
})

function randomPolicy(random: Random) {
  const sets = Object.fromEntries(
    ['blocked', 'a.b-c_d', '9']
      .slice(random.below(3))
      .map((name) => [
        name,
        random.pick([
          { file: `${name}.txt` },
          { file: 'with space # and: colon' },
          [],
          ['10.0.0.0/8', '::1', 'fe80::/10'],
        ]),
      ]),
  )
  const tables = random.pick([
    {},
    { limits: { entries: 2 ** (3 + random.below(21)), whenFull: random.pick(['share', 'drop', 'replace'] as const) } },
    { samples: { bytes: 2 ** (12 + random.below(18)) } },
  ])
  const rules: Rule[] = []
  for (let index = random.below(12); index > 0; index--) rules.push(randomRule(random, Object.keys(sets), index))
  return policy({ sets, tables }, ...rules)
}

const NAMES = [
  '',
  ' with spaces',
  ': colon # hash',
  ' "quoted" \'twice\'',
  ' 日本 \\',
  ' null',
  ' - {[&*!|>%@`',
] as const

function randomRule(random: Random, sets: readonly string[], index: number): Rule {
  const options = {
    match: randomMatch(random, sets),
    name: `${index}${random.pick(NAMES)}`,
    mode: random.pick(['enforce', 'shadow'] as const),
    ...random.pick([
      {},
      { for: `${1 + random.below(100_000)}${random.pick(['s', 'm'])}` },
      { until: new Date(random.word() * 1000).toISOString() },
    ]),
  }
  return makeRule({ ...options, ...randomAction(random) } as unknown as WrittenRule)
}

/** An expression that Ethernet has; about one random one in ten has not. */
function randomMatch(random: Random, sets: readonly string[]): string {
  const text = random.below(4) === 0 && sets.length > 0 ? `src net @${random.pick(sets)}` : randomFilter(random, 2)
  try {
    parseFilter(text, { sets: new Set(sets) })
    return random.below(8) === 0 ? `  ${text}\n` : text
  } catch (error) {
    if (!(error instanceof FilterError)) throw error
    return ''
  }
}

function randomAction(random: Random): object {
  const number = 1 + random.below(1_000_000)
  switch (random.below(9)) {
    case 0:
      return { action: 'sample', oneIn: number, bytes: 1 + random.below(2048) }
    case 1:
      return { action: 'steer', cpu: random.below(4096) }
    case 2:
      return { action: 'forward', device: random.pick(['eth0', 'enp0s3.5', '0', 'true', '-']) }
    case 3:
      return { action: 'mark', value: random.word() }
    case 4:
    case 5: {
      const scope = random.pick([
        { per: random.pick(['rule', 'source', 'destination', 'flow']) },
        { per: 'source-prefix', prefix: { v4: random.below(33), v6: random.below(129) } },
      ])
      const amount = random.pick([
        { rate: `${number} pps`, burst: number },
        { rate: `${number * 8} kbit/s`, burst: `${number} KiB` },
        { rate: `${number} MB/s` },
      ])
      return { action: 'limit', ...scope, ...(number > 15_000 ? { rate: `${number} B/s` } : amount) }
    }
    default:
      return { action: random.pick(['pass', 'drop', 'count', 'divert']) }
  }
}

it('a policy as JSON is the same as in YAML, and a key that stands twice is a fault', () => {
  const json = '{"sets": {"a:b" x}, "rules": []}'
  assert.throws(() => readPolicy(json, 'p.json'), { name: 'PolicyError' })
  const rules = '[{"name": "a \\": b", "action": "drop", "match": "ip[0] = 0x45"}]'
  const value = readPolicy(`\n {"rules": ${rules}, "sets": {"a": ["192.0.2.1"]}}`, 'p.json')
  assert.deepEqual(value, readPolicy(`rules: ${rules}\nsets: { a: [192.0.2.1] }`, 'p.yaml'))
  assert.throws(() => readPolicy(`{"rules": ${rules}, "rules": []}`, 'p.json'), /^PolicyError: p\.json:1:\d+: /)
})
