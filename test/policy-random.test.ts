import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CompileOptions, compileRules, type Rule } from '../src/compile.js'
import { prepare, type XdpMachine } from '../src/ebpf/index.js'
import { FilterError } from '../src/filter/index.js'
import { interpret, UnsupportedError } from '../src/ir/index.js'
import { testRun } from '../src/kernel/index.js'
import { type LoadedProgram, loadProgram, ruleCountReader } from '../src/loader/index.js'
import { type Random, seededRandom } from './support/random.js'
import { randomFilter } from './support/random-filter.js'
import { randomPacket } from './support/random-packet.js'
import { skipUnless } from './support/require.js'

const POLICIES = 40
const MOST_RULES = 200
const PACKETS = 60
const KERNEL_PACKETS = 25
/** What the kernel's test run takes at least: an Ethernet header. */
const SHORTEST_RUN = 14
const VERDICTS = { drop: 1, pass: 2, count: 2 } as const

/** Drawn from few addresses and ports, so that rules of one shape overlap each other and meet the packets. */
const HOSTS = ['10.0.0.1', '10.0.0.2', '192.168.1.7', '224.0.0.5', '203.0.113.9']
const PORTS = [22, 53, 80, 443, 1024, 40000]
const SHAPES: readonly ((random: Random) => string)[] = [
  (random) => `src host ${randomHost(random)}`,
  (random) => `udp dst port ${randomPort(random)}`,
  (random) => `ip host ${randomHost(random)} and port ${randomPort(random)}`,
  (random) => `tcp src port ${randomPort(random)} and dst port ${randomPort(random)}`,
  (random) => `ip6 host 2001:db8::${random.pick([53, 54, 1, 2, 3, 4, 5, 6, 7])}`,
  (random) => `src net ${randomHost(random).replace(/\d+$/, '0')}/24 and ${random.pick(['tcp', 'udp'])}`,
  (random) => `ip6 src host 2001:db8::${random.below(90)} and tcp dst port ${randomPort(random)}`,
  (random) => `vlan ${random.below(20)}`,
  (random) => `ip proto ${random.below(140)} and not dst host ${randomHost(random)}`,
]

function randomHost(random: Random): string {
  return random.below(2) === 0 ? random.pick(HOSTS) : `198.51.100.${random.below(60)}`
}

function randomPort(random: Random): number {
  return random.below(2) === 0 ? random.pick(PORTS) : random.below(90)
}

describe('random policies', () => {
  it('give one first match in the list as it stands, merged, as eBPF, and count it for its rule', (context) => {
    const random = seededRandom(context, 'policy-random')
    const packets = Array.from({ length: PACKETS }, () => randomPacket(random))
    let matched = 0
    let withTables = 0
    for (let made = 0; made < POLICIES; made++) {
      const rules = randomRules(random)
      const { graph, optimized, program } = compileRules(rules, { wireLength: 'metadata' })
      withTables += optimized.nodes.some(({ kind }) => kind === 'lookup') ? 1 : 0
      const machine = prepare(program)
      for (const packet of packets) {
        const wanted = interpret(graph, packet)
        if (wanted !== null) matched++
        const outcome = runAndCount(machine, packet.bytes, packet.wireLength, rules.length)
        const answers = { merged: interpret(optimized, packet), ...outcome }
        const verdict = wanted === null ? 2 : VERDICTS[rules[wanted]!.action as keyof typeof VERDICTS]
        assert.deepEqual(answers, { merged: wanted, verdict, counted: wanted }, describePolicy(rules, packet.bytes))
      }
    }
    context.diagnostic(`${POLICIES * PACKETS} pairs, ${matched} match; ${withTables} policies have tables`)
    assert.ok(matched > 0 && matched < POLICIES * PACKETS && withTables > 0)
  })

  it('load, and give the same first match in the kernel', { skip: skipUnless('root') }, (context) => {
    const random = seededRandom(context, 'policy-random')
    const packets = Array.from({ length: KERNEL_PACKETS }, () => randomPacket(random).bytes)
    const runnable = packets.filter(({ length }) => length >= SHORTEST_RUN)
    let verified = 0
    for (let made = 0; made < POLICIES; made++) {
      const rules = randomRules(random)
      const { graph, loaded } = compileAndLoad(rules, { multiBuffer: random.below(2) === 0 })
      verified = Math.max(verified, loaded.info.verifiedInstructions)
      const read = ruleCountReader(loaded.maps.get('rule_counters')!)
      for (const bytes of runnable) {
        const before = read().map(({ packets }) => packets)
        const { retval } = testRun({ fd: loaded.fd, data: bytes })
        const counted = read().findIndex(({ packets }, rule) => packets !== before[rule])
        const wanted = interpret(graph, { bytes, wireLength: bytes.length })
        const verdict = wanted === null ? 2 : VERDICTS[rules[wanted]!.action as keyof typeof VERDICTS]
        assert.deepEqual([retval, counted], [verdict, wanted ?? -1], describePolicy(rules, bytes))
      }
      loaded.close()
    }
    context.diagnostic(`the verifier looked at ${verified} instructions at most`)
  })
})

function compileAndLoad(rules: readonly Rule[], options: CompileOptions) {
  const { graph, program } = compileRules(rules, options)
  let loaded: LoadedProgram
  try {
    loaded = loadProgram(program)
  } catch (error) {
    throw new Error(`the verifier refuses\n${rules.map(({ match }) => match).join('\n')}`, { cause: error })
  }
  return { graph, loaded }
}

function randomRules(random: Random): Rule[] {
  const count = 1 + random.below(random.pick([4, MOST_RULES, MOST_RULES]))
  const shaped = random.below(6)
  return Array.from({ length: count }, () => randomRule(random, shaped))
}

/** Of five rules `shaped` are of a few shapes; the others are anything. */
function randomRule(random: Random, shaped: number): Rule {
  for (;;) {
    const isShaped = random.below(5) < shaped
    const match = isShaped ? random.pick(SHAPES)(random) : randomFilter(random, random.below(4))
    const rule: Rule = { match, action: random.pick(['drop', 'count', 'pass']) }
    if (isCompiled(rule)) return rule
  }
}

function isCompiled(rule: Rule): boolean {
  try {
    compileRules([rule])
    return true
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof FilterError) return false
    throw error
  }
}

/** The verdict, and the one rule whose counter went up. */
function runAndCount(machine: XdpMachine, bytes: Uint8Array, wireLength: number, rules: number) {
  const counters = machine.maps.get('rule_counters')!
  const packetsOf = (rule: number) => {
    const value = counters.lookup(new Uint8Array(Uint32Array.of(rule).buffer))!
    return new DataView(value.buffer, value.byteOffset).getUint32(0, true)
  }
  const before = Array.from({ length: rules }, (_, rule) => packetsOf(rule))
  const outcome = machine.run(bytes, { metadata: new Uint8Array(Uint32Array.of(wireLength).buffer) })
  assert.equal(outcome.kind, 'return', outcome.kind === 'fault' ? outcome.reason : '')
  const changed = before.flatMap((count, rule) => (packetsOf(rule) === count ? [] : [rule]))
  assert.ok(changed.length < 2, `rules ${changed.join()} were counted`)
  return { verdict: outcome.kind === 'return' ? outcome.value : -1, counted: changed[0] ?? null }
}

function describePolicy(rules: readonly Rule[], bytes: Uint8Array): string {
  const lines = rules.map(({ match, action }, rule) => `${rule}: ${action} ${match}`)
  return `on ${Buffer.from(bytes).toString('hex')} by\n${lines.join('\n')}`
}
