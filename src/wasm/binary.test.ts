import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { signed, sized, text, unsigned, vector } from './binary.js'

const hex = (bytes: readonly number[]) => Buffer.from(bytes).toString('hex')

/** The value of an unsigned LEB128 number, by its definition. */
function sumOf(bytes: readonly number[]): bigint {
  return bytes.reduce((sum, byte, index) => sum + (BigInt(byte & 0x7f) << BigInt(7 * index)), 0n)
}

describe('LEB128', () => {
  it('is as in the examples of the DWARF standard, section 7.6', () => {
    assert.deepEqual([2, 127, 128, 129, 130, 12857].map(unsigned).map(hex), [
      '02',
      '7f',
      '8001',
      '8101',
      '8201',
      'b964',
    ])
    const numbers = [2n, -2n, 127n, -127n, 128n, -128n, 129n, -129n]
    const encoded = ['02', '7e', 'ff00', '817f', '8001', '807f', '8101', 'ff7e']
    assert.deepEqual(numbers.map(signed).map(hex), encoded)
  })

  it('holds every number up to the greatest, in no more bytes than it needs', () => {
    for (let bits = 0; bits <= 32; bits++) {
      for (const number of [2 ** bits - 1, Math.min(2 ** bits, 2 ** 32 - 1)]) {
        const bytes = unsigned(number)
        assert.equal(sumOf(bytes), BigInt(number))
        assert.equal(bytes.length, Math.max(1, Math.ceil((32 - Math.clz32(number)) / 7)))
      }
    }
    for (let bits = 0n; bits < 64n; bits++) {
      for (const number of [2n ** bits - 1n, -(2n ** bits)]) {
        const bytes = signed(number)
        const width = 7 * bytes.length
        assert.equal(BigInt.asIntN(width, sumOf(bytes)), number)
        assert.ok(width === 7 || BigInt.asIntN(width - 7, number) !== number, `${number} fits into fewer bytes`)
      }
    }
  })
})

it('lists carry their length, in elements or in bytes', () => {
  assert.equal(hex(text('aé')), '0361c3a9')
  assert.equal(hex(sized([7, 8])), '020708')
  assert.equal(hex(vector([[7, 8], [9]])), '02070809')
})
