import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { type CompileOptions, compileRule, compileRules, type Rule } from '../src/compile.js'
import {
  alu32,
  alu64,
  assemble,
  call,
  exit,
  type Instruction,
  jumpIf,
  label,
  mov64,
  type Program,
  R0,
  R1,
} from '../src/ebpf/index.js'
import { FilterError } from '../src/filter/index.js'
import { UnsupportedError } from '../src/ir/index.js'
import { loadProgram } from '../src/loader/index.js'
import { CLASSIC_LINK_TYPES } from './support/classic-bpf.js'
import { type Random, seededRandom } from './support/random.js'
import { randomFilter } from './support/random-filter.js'
import { CORPUS, skipUnless } from './support/require.js'

const RANDOM_EXPRESSIONS = 300
const RANDOM_POLICIES = 20
const MOST_RULES = 12
const GET_SMP_PROCESSOR_ID = 8

const VARIANTS: readonly CompileOptions[] = [
  {},
  { multiBuffer: true },
  { wireLength: 'metadata' },
  { wireLength: 'metadata', multiBuffer: true, counters: false },
]

describe("the kernel's verifier", () => {
  it('accepts every expression of the corpus', { skip: skipUnless('root', 'corpus') }, (context) => {
    let instructions = 0
    for (const { text, linkType } of corpusExpressions()) {
      const rule: Rule = { match: text, action: 'drop' }
      for (const options of VARIANTS)
        instructions += verify(compileRule(rule, { ...options, linkType, live: false }).program, text)
    }
    context.diagnostic(`${instructions} instructions walked by the verifier`)
    assert.ok(instructions > 0, 'no expression was loaded')
  })

  it('accepts every random expression', { skip: skipUnless('root') }, (context) => {
    const random = seededRandom(context, 'compile-kernel')
    for (let made = 0; made < RANDOM_EXPRESSIONS; ) {
      const linkType = random.below(2) === 0 ? 'EN10MB' : random.pick(CLASSIC_LINK_TYPES)
      const match = randomFilter(random, random.below(5), linkType)
      const compiled = compileOrNull([{ match, action: 'drop' }], { ...random.pick(VARIANTS), linkType, live: false })
      if (compiled === null) continue
      verify(compiled, match)
      made++
    }
  })

  it('accepts random lists of rules', { skip: skipUnless('root') }, (context) => {
    const random = seededRandom(context, 'compile-kernel')
    for (let made = 0; made < RANDOM_POLICIES; made++) {
      const rules = Array.from({ length: 1 + random.below(MOST_RULES) }, () => randomRule(random))
      verify(compileRules(rules, random.pick(VARIANTS)).program, rules.map(({ match }) => match).join('\n'))
    }
  })

  it('accepts jumps over divisions and calls, of which it makes several instructions each', {
    skip: skipUnless('root'),
  }, () => {
    const between: Readonly<Record<string, Instruction>> = {
      'div by a register': alu64('div', R0, R1),
      'mod by a register': alu32('mod', R0, R1),
      bpf_get_smp_processor_id: call(GET_SMP_PROCESSOR_ID),
    }
    for (const [name, one] of Object.entries(between)) {
      const many = new Array<Instruction>(20_000).fill(one)
      const items = [mov64(R1, 3), mov64(R0, 1), jumpIf(R0, '==', 0, 'far'), ...many, label('far'), exit()]
      const rest = { name: 'far', type: 'xdp', license: 'GPL', maps: [], multiBuffer: false } as const
      verify({ ...assemble(items), ...rest }, name)
    }
  })
})

/** Loads and forgets the program; gives the instructions that the verifier looked at. */
function verify(program: Program, expression: string): number {
  try {
    const loaded = loadProgram(program)
    loaded.close()
    return loaded.info.verifiedInstructions
  } catch (error) {
    throw new Error(`the verifier refuses: ${expression}`, { cause: error })
  }
}

function randomRule(random: Random): Rule {
  for (;;) {
    const rule: Rule = { match: randomFilter(random, 2), action: random.pick(['drop', 'count', 'pass']) }
    if (compileOrNull([rule]) !== null) return rule
  }
}

function compileOrNull(rules: readonly Rule[], options?: CompileOptions): Program | null {
  try {
    return compileRules(rules, options).program
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof FilterError) return null
    throw error
  }
}

function corpusExpressions(): { linkType: string; text: string }[] {
  const lines = readFileSync(`${CORPUS}expressions.txt`, 'utf8').split('\n')
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('\t'))
    .map(([, linkType = '', text = '']) => ({ linkType, text }))
}
