import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TrafficError } from './traffic-error.js'
import { formatAddress, parseEndpoints } from './traffic-range.js'

const read = (text: string) => {
  const { addresses, ports } = parseEndpoints(text)
  return [formatAddress(addresses.first), addresses.count, ports === null ? null : [ports.first, ports.count]]
}

describe('addresses and ports as they are written', () => {
  it('single, prefix and range, with and without ports', () => {
    assert.deepEqual(read('192.0.2.7'), ['192.0.2.7', 1, null])
    assert.deepEqual(read('192.0.2.7:53'), ['192.0.2.7', 1, [53, 1]])
    assert.deepEqual(read('192.0.2.77/24:1024-2047'), ['192.0.2.0', 256, [1024, 1024]])
    assert.deepEqual(read('0.0.0.0/0'), ['0.0.0.0', 2 ** 32, null])
    assert.deepEqual(read('192.0.2.250-192.0.3.4'), ['192.0.2.250', 11, null])
    assert.deepEqual(read('2001:db8::5'), ['2001:db8::5', 1, null])
    assert.deepEqual(read('2001:db8::/64'), ['2001:db8::', 2 ** 32, null])
    assert.deepEqual(read('[2001:db8::1:2/112]:53'), ['2001:db8::1:0', 65_536, [53, 1]])
  })

  it('refuses the rest, and says what can be written', () => {
    for (const text of [
      '',
      '192.0.2',
      '192.0.2.1/33',
      'localhost',
      '192.0.2.9-192.0.2.1',
      '192.0.2.1:70000',
      '192.0.2.1:9-3',
      '2001:db8::1-2001:db9::1',
    ])
      assert.throws(() => parseEndpoints(text), TrafficError, text)
  })
})
