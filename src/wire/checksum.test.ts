import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { addWords, foldChecksum } from './checksum.js'

describe('the Internet checksum', () => {
  test('is that of the example in RFC 1071, section 3', () => {
    const bytes = Uint8Array.from([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])
    assert.equal(addWords(0, bytes), 0x2ddf0)
    assert.equal(foldChecksum(addWords(0, bytes)), ~0xddf2 & 0xffff)
  })

  test('of a header with its checksum is zero', () => {
    // An IPv4 header of a real packet: 10.0.0.1 to 10.0.0.2, ICMP.
    const header = Uint8Array.from([
      0x45, 0x00, 0x00, 0x54, 0x00, 0x00, 0x40, 0x00, 0x40, 0x01, 0x26, 0xa7, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00,
      0x02,
    ])
    assert.equal(foldChecksum(addWords(0, header)), 0)
    header[8] = 0x3f
    assert.notEqual(foldChecksum(addWords(0, header)), 0)
  })

  test('pads an odd last byte with zero, and sums from and to an offset', () => {
    assert.equal(addWords(0, Uint8Array.from([0x12, 0x34, 0x56])), 0x1234 + 0x5600)
    assert.equal(addWords(1, Uint8Array.from([9, 9, 0x12, 0x34, 9]), 2, 4), 0x1235)
  })

  test('folds carries of carries', () => {
    assert.equal(foldChecksum(0xffff_ffff), 0)
    assert.equal(foldChecksum(0x1_fffe), 0)
    assert.equal(foldChecksum(0), 0xffff)
  })
})
