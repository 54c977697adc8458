import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileFilter } from '../src/compile.js'
import { interpret } from '../src/ir/index.js'
import { seededRandom } from './support/random.js'
import { randomQuestions } from './support/random-questions.js'

const EXPRESSIONS = 2000
const FRAME_BYTES = 64

test('several questions about one field have one answer, optimized or not', (context) => {
  const random = seededRandom(context, 'compile-questions')
  const answers = { yes: 0, no: 0 }
  for (let n = 0; n < EXPRESSIONS; n++) {
    const text = randomQuestions(random)
    const { graph, optimized } = compileFilter(text)
    for (let value = 0; value < 256; value++) {
      // An IPv4 packet with TCP and no options, each other byte of it the one in question.
      const bytes = new Uint8Array(FRAME_BYTES).fill(value)
      bytes.set([0x08, 0x00, 0x45], 12)
      bytes.set([value & 0xe0, 0], 20)
      bytes[23] = 6
      const wanted = interpret(graph, { bytes, wireLength: FRAME_BYTES })
      assert.equal(
        interpret(optimized, { bytes, wireLength: FRAME_BYTES }),
        wanted,
        `${text} where the byte is ${value}`,
      )
      if (wanted === null) answers.no++
      else answers.yes++
    }
  }
  context.diagnostic(`${answers.yes} matches, ${answers.no} misses`)
  assert.ok(Math.min(answers.yes, answers.no) > (EXPRESSIONS * 256) / 20)
})
