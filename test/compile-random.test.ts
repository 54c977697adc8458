import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compileRule } from '../src/compile.js'
import { prepare } from '../src/ebpf/index.js'
import { FilterError } from '../src/filter/index.js'
import { interpret, UnsupportedError } from '../src/ir/index.js'
import { compileClassic, runClassic } from './support/classic-bpf.js'
import { type Random, seededRandom } from './support/random.js'
import { randomFilter } from './support/random-filter.js'
import { type RandomPacket, randomPacket } from './support/random-packet.js'
import { skipUnless } from './support/require.js'

const PACKETS = 250
const EXPRESSIONS = 600
const TCPDUMP_EXPRESSIONS = 300
const XDP_DROP = 1

describe('random expressions and packets', () => {
  it('give one answer in the graph as lowered, optimized, and as eBPF', (context) => {
    const random = seededRandom(context, 'compile-random')
    const packets = Array.from({ length: PACKETS }, () => randomPacket(random))
    let compared = 0
    let matched = 0
    forEachRule(random, EXPRESSIONS, (expression, { graph, optimized, program }) => {
      const machine = prepare(program)
      for (const packet of packets) {
        const wanted = interpret(graph, packet) === 0
        const answers = { optimized: interpret(optimized, packet) === 0, ebpf: runProgram(machine, packet) }
        assert.deepEqual(answers, { optimized: wanted, ebpf: wanted }, describePair(expression, packet))
        compared++
        if (wanted) matched++
      }
    })
    context.diagnostic(`${compared} pairs, ${matched} of them match`)
    assert.ok(matched > compared / 50 && matched < compared, 'the generator makes both matches and misses')
  })

  it('give the answer of libpcap', { skip: skipUnless('tcpdump') }, (context) => {
    const random = seededRandom(context, 'compile-random')
    const packets = Array.from({ length: PACKETS }, () => randomPacket(random))
    let compared = 0
    let disputed = 0
    forEachRule(random, TCPDUMP_EXPRESSIONS, (expression, { optimized }) => {
      const classic = compileClassic(expression, true)
      const plain = classic === null ? null : compileClassic(expression, false)
      // libpcap refuses what its optimizer finds can never match.
      if (classic === null || plain === null) return
      for (const packet of packets) {
        const ours = interpret(optimized, packet) === 0
        const theirs = runClassic(classic, packet.bytes, packet.wireLength)
        compared++
        if (ours === theirs) continue
        // Where a read fails, libpcap's optimizer may have left out the test that makes it; its plain code has not.
        disputed++
        const theirsPlain = runClassic(plain, packet.bytes, packet.wireLength)
        assert.equal(ours, theirsPlain, `libpcap says ${theirs}: ${describePair(expression, packet)}`)
      }
    })
    context.diagnostic(`${compared} pairs; on ${disputed} libpcap's two programs differ, and ours is as the plain one`)
    assert.ok(compared > (TCPDUMP_EXPRESSIONS * PACKETS) / 2)
    assert.ok(disputed < compared / 50)
  })
})

/** Calls `visit` for `count` expressions that compile; the generator also makes some that mean nothing. */
function forEachRule(
  random: Random,
  count: number,
  visit: (expression: string, rule: ReturnType<typeof compileRule>) => void,
): void {
  for (let made = 0; made < count; ) {
    const expression = randomFilter(random, random.below(4))
    const rule = compileOrNull(expression)
    if (rule === null) continue
    visit(expression, rule)
    made++
  }
}

function compileOrNull(expression: string): ReturnType<typeof compileRule> | null {
  try {
    return compileRule({ match: expression, action: 'drop' }, { wireLength: 'metadata' })
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof FilterError) return null
    throw error
  }
}

function runProgram(machine: ReturnType<typeof prepare>, { bytes, wireLength }: RandomPacket): boolean {
  const outcome = machine.run(bytes, { metadata: new Uint8Array(new Uint32Array([wireLength]).buffer) })
  assert.equal(outcome.kind, 'return', outcome.kind === 'fault' ? outcome.reason : '')
  return outcome.kind === 'return' && outcome.value === XDP_DROP
}

function describePair(expression: string, { bytes, wireLength }: RandomPacket): string {
  return `'${expression}' on ${Buffer.from(bytes).toString('hex')} (${wireLength} bytes on the wire)`
}
