import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { policySource } from '../src/control/policy-source.js'
import { type Helper, helperId, POLICY_COUNTERS, prepare, RULE_ENDS } from '../src/ebpf/index.js'
import { FilterError, parseFilter } from '../src/filter/index.js'
import { buildGraph, type Graph, interpret, lower, UnsupportedError } from '../src/ir/index.js'
import { testRun } from '../src/kernel/index.js'
import { type LoadedPolicy, loadPolicy } from '../src/loader/index.js'
import {
  count,
  divert,
  drop,
  forward,
  limit,
  mark,
  type Policy,
  pass,
  policy,
  type Rule,
  sample,
  steer,
} from '../src/policy/index.js'
import { type Random, seededRandom } from './support/random.js'
import { randomFilter } from './support/random-filter.js'
import { randomPacket } from './support/random-packet.js'
import { skipUnless } from './support/require.js'

const POLICIES = 25
const PACKETS = 60
const MOST_RULES = 40
const [DROP, PASS] = [1, 2]
/** Shorter frames are none for BPF_PROG_TEST_RUN. */
const SHORTEST = 14

/** A rule with any action; a limit that nothing exceeds passes, one of a packet a century passes one. */
function randomRule(random: Random, name: string): Rule {
  const options = {
    name,
    mode: random.below(4) === 0 ? 'shadow' : 'enforce',
    ...(random.below(4) === 0 ? { for: '1h' } : {}),
  } as const
  const match = randomMatch(random)
  switch (random.below(9)) {
    case 0:
      return count(match, options)
    case 1:
      return sample(match, { ...options, oneIn: 1 + random.below(3), bytes: 1 + random.below(200) })
    case 2:
      return mark(match, { ...options, value: random.word() })
    case 3: {
      const per = random.pick(['rule', 'source', 'destination', 'flow'] as const)
      return limit(match, { ...options, per, rate: random.pick(['1000000 pps', '10 GB/s']), burst: 1e9 })
    }
    case 4:
      return random.pick([
        divert(match, options),
        steer(match, { ...options, cpu: 0 }),
        forward(match, { ...options, device: 'lo' }),
      ])
    case 5:
    case 6:
      return pass(match, options)
    default:
      return drop(match, options)
  }
}

/** Often one of a few shapes, so that tables are made. */
function randomMatch(random: Random): string {
  for (;;) {
    const match =
      random.below(2) === 0
        ? random.pick([`src host 10.0.0.${random.below(4)}`, `udp dst port ${random.pick([22, 53, 80, 443])}`])
        : randomFilter(random, random.below(3))
    try {
      lower(parseFilter(match).expression)
      return match
    } catch (error) {
      if (!(error instanceof UnsupportedError || error instanceof FilterError)) throw error
    }
  }
}

/** What the document of a policy says, rule by rule: who counts a packet, and whether it is dropped. */
function judge(rules: readonly { rule: Rule; graph: Graph }[], hasEnded: boolean, bytes: Uint8Array) {
  const counted: number[] = []
  for (const [index, { rule, graph }] of rules.entries()) {
    if (hasEnded && rule.lifetime !== null) continue
    if (interpret(graph, { bytes, wireLength: bytes.length }) === null) continue
    counted.push(index)
    if (rule.mode === 'shadow' || ['count', 'sample', 'mark'].includes(rule.action.kind)) continue
    return { counted, isDropped: rule.action.kind === 'drop' }
  }
  return { counted, isDropped: false }
}

function randomPolicy(random: Random): Policy {
  const rules = Array.from({ length: 1 + random.below(MOST_RULES) }, (_, index) => randomRule(random, `rule ${index}`))
  return policy({ tables: { limits: { entries: 1024 } } }, ...rules)
}

/** There is no ring buffer in the interpreter: every sample finds it full. */
const refuse: Helper = ({ lo, hi }) => {
  lo[0] = 0
  hi[0] = 0
  return undefined
}

const NOWHERE = { sets: new Map(), interfaceIndex: () => 1 }

describe('random policies with every action', () => {
  it('do in the interpreter what their rules say one by one, before and after their ends', (context) => {
    const random = seededRandom(context, 'policy-actions-random')
    for (let made = 0; made < POLICIES; made++) {
      const value = randomPolicy(random)
      const rules = value.rules.map((rule) => ({
        rule,
        graph: buildGraph([lower(parseFilter(rule.match).expression)]),
      }))
      const slots = rules.map((_, index) => index)
      const program = policySource(value, NOWHERE).compile(slots, 64)
      let now = 1e12
      const machine = prepare(program, { clock: () => now, helpers: { [helperId('bpf_ringbuf_reserve')]: refuse } })
      const ends = machine.maps.get(RULE_ENDS)
      for (const slot of slots) ends?.update(u32(slot), new Uint8Array(BigUint64Array.of(2_000_000_000_000n).buffer))
      const wanted = new Uint32Array(rules.length)
      for (let sent = 0; sent < PACKETS; sent++) {
        if (sent === PACKETS / 2) now = 3e12
        const { bytes } = randomPacket(random)
        const { counted, isDropped } = judge(rules, now > 2e12, bytes)
        for (const index of counted) wanted[index]!++
        const outcome = machine.run(bytes)
        const got = outcome.kind === 'return' ? outcome.value : outcome.reason
        assert.equal(
          got,
          isDropped ? DROP : PASS,
          `${JSON.stringify(value.rules)} on ${Buffer.from(bytes).toString('hex')}`,
        )
      }
      // A policy of which no packet can reach a rule has no counters.
      const counters = machine.maps.get(POLICY_COUNTERS)
      const counts = slots.map((slot) => {
        const entry = counters?.lookup(u32(slot)) ?? new Uint8Array(8)
        return Number(new DataView(entry.buffer, entry.byteOffset).getBigUint64(0, true))
      })
      assert.deepEqual(counts, [...wanted], JSON.stringify(value.rules))
    }
  })

  it('load in the kernel, and do the same there', { skip: skipUnless('root') }, (context) => {
    const random = seededRandom(context, 'policy-actions-random')
    for (let made = 0; made < POLICIES; made++) {
      const value = randomPolicy(random)
      const rules = value.rules.map((rule) => ({
        rule,
        graph: buildGraph([lower(parseFilter(rule.match).expression)]),
      }))
      const loaded = loadOrExplain(value)
      const wanted = new Uint32Array(rules.length)
      for (let sent = 0; sent < PACKETS; sent++) {
        const { bytes } = randomPacket(random)
        if (bytes.length < SHORTEST) continue
        const { counted, isDropped } = judge(rules, false, bytes)
        for (const index of counted) wanted[index]!++
        const { retval } = testRun({ fd: loaded.program.fd, data: bytes })
        assert.equal(retval === DROP, isDropped, JSON.stringify(value.rules))
      }
      const counts = loaded.counts().map(({ packets }) => packets)
      loaded.close()
      assert.deepEqual(counts, [...wanted], JSON.stringify(value.rules))
    }
  })
})

function loadOrExplain(value: Policy): LoadedPolicy {
  try {
    return loadPolicy(policySource(value, NOWHERE))
  } catch (error) {
    throw new Error(`does not load: ${JSON.stringify(value.rules)}`, { cause: error })
  }
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}
