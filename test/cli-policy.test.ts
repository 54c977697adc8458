import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { differentShapes, tenShapes } from '../bench/policy-rules.js'
import { compileRule } from '../src/compile.js'
import { slotsOf } from '../src/ebpf/index.js'
import { isValidModule } from '../src/wasm/index.js'
import { runCli } from './support/cli.js'
import { skipUnless } from './support/require.js'

const POLICY = `
sets:
  office: [192.0.2.0/24, "2001:db8:1::/48"]
  blocked: { file: blocked.txt }
rules:
  - { name: office, action: pass, match: src net @office }
  - { name: blocked, action: drop, match: src net @blocked, for: 10m }
  - { name: syns, action: limit, match: "tcp[tcpflags] == tcp-syn", per: source, rate: 1000 pps, burst: 2000 }
  - { name: dns, action: drop, match: udp src port 53, mode: shadow }
  - { name: lost, action: drop, match: "tcp[tcpflags] == tcp-syn and tcp dst port 80" }
`
const LOST = /warning: rule 5 "lost" is never reached, because rule 3 "syns" takes all of its packets/

const NO_FILE = /^sluice: cannot read the policy .*none(\.json|\.yaml|\.YML|): no such file; check the path\n$/

let folder = ''
const at = (name: string) => join(folder, name)

function write(name: string, text: string): string {
  writeFileSync(at(name), text)
  return at(name)
}

/** The rules of a benchmark as a policy file. */
function writeRules(name: string, rules: readonly object[]): string {
  return write(name, JSON.stringify({ rules: rules.map((rule, index) => ({ ...rule, name: `rule ${index}` })) }))
}

function json(args: readonly string[]) {
  const { status, stdout, stderr } = runCli([...args, '--json'])
  assert.equal(status, 0, stderr)
  return { ...JSON.parse(stdout), stderr }
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-policy-'))
  write('policy.yaml', POLICY)
  write('blocked.txt', '198.51.100.0/24\n203.0.113.9\n')
})
after(() => rmSync(folder, { recursive: true }))

describe('sluice compile with a policy', () => {
  it('prints each form, of the file alone or behind --policy, and warns', () => {
    const ast = json(['compile', at('policy.yaml'), '--to', 'ast'])
    assert.deepEqual(
      ast.rules.map(({ name, action }: Record<string, unknown>) => [name, action]),
      [
        ['office', 'pass'],
        ['blocked', 'drop'],
        ['syns', 'limit'],
        ['dns', 'drop'],
        ['lost', 'drop'],
      ],
    )
    assert.deepEqual(ast.rules[3].ast, {
      kind: 'port',
      transport: 'udp',
      direction: 'src',
      low: 53,
      high: 53,
    })
    assert.match(ast.stderr, LOST)
    const ir = json(['compile', '--policy', at('policy.yaml'), '--to', 'ir'])
    // A rule with a lifetime and one in shadow let the list go on.
    assert.deepEqual(
      ir.segments.map(({ rules }: { rules: string[] }) => rules),
      [['office', 'blocked'], ['syns', 'dns'], ['lost']],
    )
    assert.match(ir.segments[0].ir.join('\n'), /in @office/)
    const ebpf = json(['compile', at('policy.yaml')])
    assert.deepEqual(ebpf.to, 'ebpf')
    assert.equal(ebpf.code.length / 16, ebpf.instructions.length + wideOnes(ebpf.instructions))
    assert.ok(ebpf.maps.some(({ name }: { name: string }) => name === 'set4_blocked'))
    const wasm = json(['compile', at('policy.yaml'), '--to', 'wasm'])
    for (const { module } of wasm.segments) assert.ok(isValidModule(Buffer.from(module, 'base64')))
  })

  it('prints text, with the rules of each segment above it', () => {
    const { stdout } = runCli(['compile', at('policy.yaml'), '--to', 'ir'])
    assert.match(stdout, /^# segment of 2 rules, "office" to "blocked"\nn\d+ /)
    assert.match(stdout, /^# segment of rule "lost"$/m)
    assert.match(runCli(['compile', at('policy.yaml'), '--to', 'wasm']).stdout, /^;; segment of 2 rules.*\n\(module/)
  })

  it('takes one of both, and says what goes with an expression only', () => {
    for (const [args, said] of [
      [['compile'], /^sluice: there is nothing to look at; give an expression, or --policy FILE\n$/],
      [['explain', 'udp', '--policy', at('policy.yaml')], /^sluice: there are a policy and an expression/],
      [['compile', at('policy.yaml'), '--link-type', 'RAW'], /^sluice: a policy stands at devices/],
      [['compile', at('policy.yaml'), '--resolve'], /^sluice: host names of a policy are not looked up/],
      [['explain', '--policy', at('none.yaml')], NO_FILE],
      [['explain', at('none.json')], NO_FILE],
      [['compile', 'none.YML'], NO_FILE],
      [['compile', './policies/none'], NO_FILE],
      [['compile', at('')], /^sluice: cannot read the policy .*: it is a directory/],
      // Of these none is a file, and what is wrong with the expression is said.
      [['compile', '192.0.2.0/24'], /\n {2}192\.0\.2\.0\/24\n/],
      [['compile', 'ip[8]/2'], /\n {2}ip\[8\]\/2\n/],
      [['compile', 'hots a.yaml'], /\n {2}hots a\.yaml\n/],
    ] as const) {
      const { status, stdout, stderr } = runCli(args)
      assert.deepEqual([status, stdout], [2, ''], args.join(' '))
      assert.match(stderr, said)
    }
  })
})

/** Instructions that take two slots. */
function wideOnes(lines: readonly string[]): number {
  return lines.filter((line) => /\((18)\)/.test(line)).length
}

describe('sluice explain with a policy', () => {
  it('says of each rule what it does, matches and reads, and of the whole what it costs', () => {
    const { stdout, stderr } = runCli(['explain', at('policy.yaml')])
    assert.match(stdout, /^rule 2 "blocked" drops; for 10m from when it is loaded$/m)
    assert.match(
      stdout,
      /^rule 3 "syns" passes 1000 packets a second for each source address, 2000 packets at once, and drops what is beyond; where all 131072 buckets are taken, newcomers share one bucket$/m,
    )
    assert.match(stdout, /^rule 4 "dns" only counts \(shadow\) what it would do: drops$/m)
    assert.match(stdout, /^ {4}UDP with source port 53/m)
    assert.match(stdout, /^ {2}segment 1: 2 rules, \d+ decisions, \d+ bounds checks$/m)
    assert.match(stdout, /^ {2}set blocked: 2 IPv4 and 0 IPv6 prefixes, \d+ kB$/m)
    assert.match(stderr, LOST)
  })

  it('counts instructions as the program has them', () => {
    const rules = [{ action: 'drop', match: 'udp port 53' }]
    const { instructions, segments } = json(['explain', writeRules('one.json', rules)])
    const { code } = json(['compile', at('one.json')])
    assert.equal(instructions, code.length / 16)
    const { optimized, program } = compileRule({ match: 'udp port 53', action: 'drop' })
    assert.equal(segments[0].checks, optimized.nodes.filter(({ kind }) => kind === 'check').length)
    assert.ok(instructions > program.instructions.reduce((sum, one) => sum + slotsOf(one), 0) / 2)
  })

  it('names how many rules became a look-up', () => {
    const { segments } = json(['explain', writeRules('ten.json', tenShapes(1000))])
    assert.equal(segments.length, 1)
    assert.equal(segments[0].rules, 1000)
    const sizes = segments[0].tables.map(({ rules }: { rules: number }) => rules)
    assert.ok(sizes.length >= 9 && sizes.every((size: number) => size >= 100), sizes.join())
  })

  it('of 500 rules of 500 shapes asks the kernel what they cost', { skip: skipUnless('root') }, (context) => {
    const { kernel, segments, rules } = json(['explain', writeRules('many.json', differentShapes(500))])
    assert.deepEqual([rules.length, segments[0].rules, segments[0].tables], [500, 500, []])
    assert.ok(kernel.verifier.walked > 500 && kernel.machineCodeBytes > 5000)
    assert.equal(kernel.nanoseconds.length, 4)
    context.diagnostic(JSON.stringify(kernel))
  })

  it('without rights, or without a device that a rule names, explains the rest', { skip: skipUnless('root') }, () => {
    const bare = runCli(['explain', at('policy.yaml')], ['setpriv', '--bounding-set=-all', '--inh-caps=-all'])
    assert.equal(bare.status, 0)
    assert.match(bare.stdout, /the kernel was not asked: .*sudo/)
    const away = write('away.yaml', 'rules: [{ action: forward, match: icmp, device: nowhere0 }]')
    assert.match(runCli(['explain', away]).stdout, /the kernel was not asked: there is no network device "nowhere0"/)
  })
})

describe('a policy that is wrong', () => {
  const cases: readonly [what: string, text: string, said: RegExp][] = [
    [
      'unknown keys',
      'rules:\n  - { action: drop, match: udp, brust: 3 }\ntabels: {}\n',
      /^sluice: .*bad\.yaml:2:33: a rule with action drop has no "brust".*\n.*bad\.yaml:3:1: .*"tabels".*did you mean "tables"\?\n$/,
    ],
    [
      'limits that contradict themselves',
      `rules:
  - { action: limit, match: udp, per: source, rate: 10 pps, burst: 64 kB }
  - { action: limit, match: tcp, per: source-prefix, rate: 10 pps }
  - { action: drop, match: icmp, for: 1m, until: 2030-01-01T00:00:00Z }
`,
      /bad\.yaml:2:68: the burst is in bytes and the rate in packets.*\n.*bad\.yaml:3:39: per source-prefix needs the lengths.*\n.*bad\.yaml:4:\d+: for and until contradict each other.*\n$/,
    ],
    [
      'two rules of one name',
      'rules: [{ name: a, action: drop, match: udp }, { name: a, action: pass, match: tcp }]',
      /both called "a"/,
    ],
    [
      'an unknown set',
      'rules: [{ action: drop, match: src net @ofice }]\nsets: { office: [] }',
      /did you mean "@office"\?/,
    ],
    ['a broken entry', 'rules: []\nsets: { office: [192.0.2.1/24] }', /^sluice: .*bad\.yaml:2:18: /],
    [
      'what no program at a device can ask',
      'rules:\n  - { action: drop, match: udp and inbound }\n  - { action: drop, match: ifindex 3 }\n',
      /^sluice: .*bad\.yaml:2:36: [^\n]*\n {2}udp and inbound\n {10}\^{7}\n.*bad\.yaml:3:28: /,
    ],
    [
      'a CPU that there is not',
      'rules:\n  - { action: drop, match: arp }\n  - { name: away, action: steer, match: udp, cpu: 4095 }\n',
      /^sluice: .*bad\.yaml:3:51: rule 2 "away" steers to CPU 4095, and this machine has 0 to \d+; write one of them\n$/,
    ],
    [
      'a burst of nothing',
      'rules: [{ action: limit, match: udp, per: rule, rate: 10 pps, burst: 0 }]',
      /"burst" is 0; write a whole number from 1 to 15000000000\n$/,
    ],
    [
      'the name of a host',
      'rules: [{ action: drop, match: host localhost }]',
      /no host or network is called "localhost"; write an address\n/,
    ],
    [
      'YAML that is none',
      'rules:\n  - { action: drop, match: tcp[0] = 1 }\n  - { action: drop }\n',
      /^sluice: .*bad\.yaml:2:\d+: [^\n]*(\n.*bad\.yaml:2:.*)*\n$/,
    ],
  ]
  for (const [what, text, said] of cases) {
    it(`is refused with its place: ${what}`, () => {
      const file = write('bad.yaml', text)
      for (const command of ['compile', 'explain']) {
        const { status, stdout, stderr } = runCli([command, file])
        assert.deepEqual([status, stdout], [2, ''], stderr)
        assert.match(stderr, said)
      }
    })
  }

  it('is looked at all the same where it steers to a CPU that is not here', () => {
    const file = write('away.yaml', 'rules: [{ action: steer, match: udp, cpu: 4095 }]')
    for (const form of ['ast', 'ir', 'wasm']) {
      const { status, stderr } = runCli(['compile', file, '--to', form])
      assert.equal(status, 0, stderr)
    }
  })

  it('is refused for one bad line among a million', () => {
    const lines = Array.from({ length: 1_000_000 }, (_, n) => `${11 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}.0/24`)
    lines[765_432] = '203.0.113.300'
    write('million.txt', lines.join('\n'))
    const file = write(
      'million.yaml',
      'rules: [{ action: drop, match: src net @all }]\nsets: { all: { file: million.txt } }',
    )
    const { status, stdout, stderr } = runCli(['compile', file])
    assert.deepEqual([status, stdout], [2, ''])
    assert.match(stderr, /^sluice: million\.txt:765433: "203\.0\.113\.300" is no address or prefix.*\n$/)
  })
})
