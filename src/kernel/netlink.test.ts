import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  attribute,
  attributeNest,
  attributeString,
  attributeU32,
  readAttributes,
  readString,
  readU32,
} from './netlink.js'

test('an attribute is padded to four bytes, and its length does not count the padding', () => {
  const bytes = attributeString(3, 'eth0')
  // Length 9, type 3, "eth0", zero byte, three bytes of padding.
  assert.deepEqual([...bytes], [9, 0, 3, 0, 0x65, 0x74, 0x68, 0x30, 0, 0, 0, 0])
})

test('attributes are found again behind one another and inside one another', () => {
  const inner = attributeNest(18, attributeString(1, 'veth'), attributeU32(2, 0xfffffffe))
  const outer = readAttributes(Buffer.concat([attribute(1, Uint8Array.of(7)), inner]))
  assert.deepEqual([...outer.keys()], [1, 18])
  const nested = readAttributes(outer.get(18)!)
  assert.equal(readString(nested.get(1)!), 'veth')
  assert.equal(readU32(nested.get(2)), 0xfffffffe)
})

test('a walk over attributes stops at one that claims more than there is, or less than its header', () => {
  const good = attributeU32(1, 5)
  for (const length of [0, 3, 200]) {
    const broken = attributeU32(2, 6)
    broken[0] = length
    assert.deepEqual([...readAttributes(Buffer.concat([good, broken])).keys()], [1])
  }
})

test('a missing number is 0', () => {
  assert.equal(readU32(undefined), 0)
})
