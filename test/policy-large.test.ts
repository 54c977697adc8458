import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { differentShapes, frameFor, tenShapes } from '../bench/policy-rules.js'
import { compileRules } from '../src/compile.js'
import { prepare } from '../src/ebpf/index.js'
import { interpret } from '../src/ir/index.js'
import { loadProgram } from '../src/loader/index.js'
import { skipUnless } from './support/require.js'

const XDP_DROP = 1

describe('large policies', () => {
  it('of ten shapes become a few look-ups, with the first match of the list', () => {
    const { graph, optimized, program } = compileRules(tenShapes(10_000))
    assert.ok(optimized.nodes.length < 200, `${optimized.nodes.length} nodes`)
    assert.ok(program.instructions.length < 2000, `${program.instructions.length} instructions`)
    const machine = prepare(program)
    for (let rule = 0; rule < 10_000; rule += 997) {
      const bytes = frameFor(rule)
      const packet = { bytes, wireLength: bytes.length }
      const wanted = interpret(graph, packet)
      assert.ok(wanted !== null && wanted <= rule, `rule ${rule}`)
      assert.equal(interpret(optimized, packet), wanted)
      const outcome = machine.run(bytes)
      assert.equal(outcome.kind === 'return' && outcome.value, XDP_DROP)
    }
  })

  it('load', { skip: skipUnless('root') }, (context) => {
    for (const [what, rules] of [
      ['10,000 rules of 10 shapes', tenShapes(10_000)],
      ['500 rules of 500 shapes', differentShapes(500)],
      ['3,000 rules of 3,000 shapes', differentShapes(3000)],
    ] as const) {
      const { program } = compileRules(rules)
      const loaded = loadProgram(program)
      loaded.close()
      const { verifiedInstructions } = loaded.info
      context.diagnostic(`${what}: ${program.instructions.length} instructions, ${verifiedInstructions} verified`)
      // The verifier's work stays in proportion to the program, which is what keeps it below the limit.
      assert.ok(verifiedInstructions < 8 * program.instructions.length, what)
    }
  })
})
