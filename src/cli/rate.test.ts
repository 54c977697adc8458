import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCount, parseCountUpTo } from './rate.js'

test('a count is a whole number, with units of thousands, up to the most that there may be', () => {
  assert.equal(parseCount('1.5M'), 1_500_000)
  assert.equal(parseCountUpTo(1000, '1k'), 1000)
  for (const text of ['0', '-1', '1.5', '1001', '2k', 'ten', ''])
    assert.throws(() => parseCountUpTo(1000, text), { message: /^".*" is no count from 1 to 1000; write it as 1000, / })
})
