import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { seededRandom } from '../../test/support/random.js'
import { numberPairs } from './number-pairs.js'

describe('numberPairs', () => {
  it('numbers pairs as a map of texts does, also those that differ in one bit or in their order', (context) => {
    const random = seededRandom(context, 'number-pairs')
    const word = () => random.pick([random.below(4), 2 ** random.below(32), 2 ** 32 - 1 - random.below(2 ** 31)])
    const pairs = numberPairs()
    const known = new Map<string, number>()
    for (let step = 0; step < 50_000; step++) {
      const [first, second] = [word(), word()]
      const key = `${first} ${second}`
      assert.equal(pairs.has(first, second), known.has(key), key)
      if (!known.has(key)) known.set(key, known.size)
      assert.equal(pairs.numberOf(first, second), known.get(key), key)
    }
    context.diagnostic(`${known.size} pairs`)
  })
})
