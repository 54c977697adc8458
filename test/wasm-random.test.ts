import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { emitMatcher, loadMatcher, NO_RULE } from '../src/codegen/index.js'
import { compileRules } from '../src/compile.js'
import { prepare, XDP } from '../src/ebpf/index.js'
import { FilterError } from '../src/filter/index.js'
import { type Graph, interpret, UnsupportedError } from '../src/ir/index.js'
import { layBundle } from './support/bundle.js'
import { type Random, seededRandom } from './support/random.js'
import { randomFilter } from './support/random-filter.js'
import { type RandomPacket, randomPacket } from './support/random-packet.js'

const PACKETS = 250
const LISTS = 500

describe('random lists of rules on random packets', () => {
  it('get one verdict by the interpreter, by WebAssembly and, for one rule, by eBPF', (context) => {
    const random = seededRandom(context, 'wasm-random')
    const packets = Array.from({ length: PACKETS }, () => randomPacket(random))
    const bundle = layBundle(packets)
    let matched = 0
    for (let made = 0; made < LISTS; ) {
      const texts = Array.from({ length: random.pick([1, 1, 2, 5]) }, () => randomFilter(random, random.below(4)))
      const compiled = compileOrNull(texts)
      if (compiled === null) continue
      made++
      const { graph, optimized, program } = compiled
      const verdicts = judgeInPieces(random, optimized, bundle)
      const machine = prepare(program)
      packets.forEach((packet, index) => {
        const wanted = interpret(graph, packet)
        const pair = describePair(texts, packet)
        assert.equal(verdicts[index], wanted ?? NO_RULE, pair)
        if (texts.length === 1) assert.equal(runsToDrop(machine, packet), wanted === 0, pair)
        if (wanted !== null) matched++
      })
    }
    const pairs = LISTS * PACKETS
    context.diagnostic(`${pairs} pairs, ${matched} of them match`)
    assert.ok(matched > pairs / 50 && matched < pairs, 'the generator makes both matches and misses')
  })
})

/** The verdicts of several calls, as bundles are rarely full. */
function judgeInPieces(random: Random, graph: Graph, bundle: ReturnType<typeof layBundle>): Int32Array {
  const { memory, count, descriptorAt, verdictAt, verdicts } = bundle
  const judge = loadMatcher(emitMatcher(graph), memory)
  verdicts.fill(-7)
  for (let first = 0; first < count; ) {
    const size = Math.min(random.below(65), count - first)
    judge(descriptorAt(first), size, verdictAt(first))
    first += size
  }
  return verdicts
}

function compileOrNull(texts: readonly string[]): ReturnType<typeof compileRules> | null {
  try {
    const rules = texts.map((match) => ({ match, action: 'drop' }) as const)
    return compileRules(rules, { wireLength: 'metadata' })
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof FilterError) return null
    throw error
  }
}

function runsToDrop(machine: ReturnType<typeof prepare>, { bytes, wireLength }: RandomPacket): boolean {
  const outcome = machine.run(bytes, { metadata: new Uint8Array(new Uint32Array([wireLength]).buffer) })
  assert.equal(outcome.kind, 'return', outcome.kind === 'fault' ? outcome.reason : '')
  return outcome.kind === 'return' && outcome.value === XDP.drop
}

function describePair(texts: readonly string[], { bytes, wireLength }: RandomPacket): string {
  const list = texts.map((text) => `'${text}'`).join(', ')
  return `${list} on ${Buffer.from(bytes).toString('hex')} (${wireLength} bytes on the wire)`
}
