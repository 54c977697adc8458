import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatMac, parseAddress, parseMac, parsePrefix } from './address.js'

test('an IPv4 address becomes its four bytes', () => {
  assert.deepEqual([...parseAddress('203.0.113.7')], [203, 0, 113, 7])
})

/** Text, and the sixteen bytes in hexadecimal; forms of RFC 4291 section 2.2. */
const IPV6: [string, string][] = [
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['2001:db8::', '20010db8000000000000000000000000'],
  ['2001:DB8:0:0:8:800:200C:417A', '20010db80000000000080800200c417a'],
  ['ff01::101', 'ff010000000000000000000000000101'],
  ['::ffff:192.0.2.128', '00000000000000000000ffffc0000280'],
  ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
]

for (const [text, hex] of IPV6) {
  test(`an IPv6 address becomes its sixteen bytes: ${text}`, () => {
    assert.equal(Buffer.from(parseAddress(text)).toString('hex'), hex)
  })
}

for (const text of ['', '1.2.3', '1.2.3.256', '1:2', '2001:db8::1::2', 'fe80::1%eth0', 'localhost']) {
  test(`what is no address is refused: "${text}"`, () => {
    assert.throws(() => parseAddress(text), { name: 'RangeError', message: /is not an IP address/ })
  })
}

test('a prefix has its length in bits', () => {
  const { address, lengthBits } = parsePrefix('2001:db8::/32')
  assert.equal(lengthBits, 32)
  assert.deepEqual(address, parseAddress('2001:db8::'))
})

for (const text of ['192.0.2.0', '192.0.2.0/', '192.0.2.0/33', '192.0.2.0/-1', '2001:db8::/129', '192.0.2.0/24/24']) {
  test(`what is no prefix is refused: ${text}`, () => {
    assert.throws(() => parsePrefix(text), RangeError)
  })
}

test('a MAC address comes back as it was written, in small letters', () => {
  assert.equal(formatMac(parseMac('02:00:5E:00:01:ff')), '02:00:5e:00:01:ff')
  assert.throws(() => parseMac('02:00:5e:00:01'), /is not a MAC address/)
})
