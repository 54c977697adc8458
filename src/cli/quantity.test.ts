import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatQuantity } from './quantity.js'

test('three digits and a unit, also where rounding reaches the next one', () => {
  const cases: [number, string][] = [
    [0, '0 '],
    [999.4, '999 '],
    [999.6, '1.00 k'],
    [1234, '1.23 k'],
    [999_499, '999 k'],
    [999_999, '1.00 M'],
    [1_234_567, '1.23 M'],
    [5e12, '5.00 T'],
  ]
  for (const [value, text] of cases) assert.equal(formatQuantity(value), text)
})
