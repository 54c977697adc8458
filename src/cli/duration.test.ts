import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDuration, parseDuration } from './duration.js'

test('durations are read with their unit and written back', () => {
  assert.equal(parseDuration('30s'), 30_000)
  assert.equal(parseDuration('10m'), 600_000)
  assert.equal(parseDuration('1.5h'), 5_400_000)
  assert.equal(formatDuration(5_400_000), '1h 30m')
  assert.equal(formatDuration(90_000), '1m 30s')
  assert.equal(formatDuration(0), '0s')
})

test('what is no duration is refused with the spelling', () => {
  for (const text of ['', '10', 'm', '-5s', '0s', '0.9s', '0.0001s', '10 m', '1w', '25d', '1e3s']) {
    assert.throws(() => parseDuration(text), /write it as 30s, 10m or 1h/, text)
  }
})
