import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ArithmeticOperator } from '../filter/index.js'
import { binary, normalizePlace, possibleBits } from './fold.js'
import { evaluate } from './interpret.js'
import { compute, constant, divides, load, loadsOf, type Value, wireLength } from './value.js'

const OPERATORS = ['+', '-', '*', '/', '%', '&', '|', '^', '<<', '>>'] as const
const CONSTANTS = [0, 1, 2, 3, 4, 8, 15, 31, 32, 33, 0xf0, 0xff, 0x100, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]
const byte = load({ base: null, offset: 0 }, 0, 1)
const word = load({ base: null, offset: 0 }, 1, 4)
const packetOf = (first: number, number: number) => {
  const bytes = new Uint8Array(5)
  bytes[0] = first
  new DataView(bytes.buffer).setUint32(1, number)
  return { bytes, wireLength: 5 }
}
const PACKETS = [packetOf(0, 0), packetOf(0x45, 0x1234_5678), packetOf(0xff, 0xffff_ffff), packetOf(0x80, 0x8000_0001)]

/** What `operator` over a value and two constants gives when every step is computed on its own. */
function unfolded(value: Value, first: ArithmeticOperator, a: number, second: ArithmeticOperator, b: number) {
  return PACKETS.map((packet) => {
    const once = compute(first, evaluate(value, packet)!, a)
    return once === null ? null : compute(second, once, b)
  })
}

describe('arithmetic that folds', () => {
  it('gives what the steps give, for all pairs of operators and constants', () => {
    for (const value of [byte, word])
      for (const first of OPERATORS)
        for (const second of OPERATORS)
          for (const a of CONSTANTS)
            for (const b of CONSTANTS) {
              const folded = binary(second, binary(first, value, constant(a)), constant(b))
              const wanted = unfolded(value, first, a, second, b)
              const answers = PACKETS.map((packet) => evaluate(folded, packet))
              assert.deepEqual(answers, wanted, `(x ${first} ${a}) ${second} ${b} folds to ${folded.key}`)
              for (const answer of answers) {
                if (answer === null) continue
                assert.ok(answer <= folded.max, `${folded.key} is ${answer}, above its maximum ${folded.max}`)
                assert.equal((answer & ~possibleBits(folded)) >>> 0, 0, `${folded.key} has a bit it cannot have`)
              }
            }
  })

  it('brings the ways to write the IPv4 header length to one key', () => {
    const length = binary('<<', binary('&', byte, constant(15)), constant(2))
    const times = binary('*', binary('&', byte, constant(0x0f)), constant(4))
    const reversed = binary('*', constant(4), binary('&', constant(15), byte))
    const shifted = binary('*', binary('>>', binary('&', byte, constant(0xf0)), constant(4)), constant(4))
    assert.equal(times.key, length.key)
    assert.equal(reversed.key, length.key)
    assert.equal(shifted.key, binary('>>', binary('&', byte, constant(0xf0)), constant(2)).key)
  })

  it('drops reads only for a factor or mask of 0', () => {
    assert.equal(binary('&', word, constant(0)).canFail, false)
    assert.equal(binary('&', binary('&', word, constant(0xf0)), constant(0x0f)).canFail, true)
    assert.equal(binary('>>', binary('>>', word, constant(31)), constant(31)).canFail, true)
    assert.equal(binary('*', binary('/', constant(1), word), constant(0)).canFail, true)
    assert.equal(binary('*', word, constant(0)).canFail, false)
    assert.equal(binary('-', word, word).canFail, true)
    assert.equal(binary('/', wireLength(), word).canFail, true)
    assert.equal(binary('/', wireLength(), constant(3)).canFail, false)
    assert.equal(binary('%', wireLength(), constant(0)).canFail, true)
  })

  it('moves a constant out of an address only where the sum cannot wrap', () => {
    const small = binary('+', byte, constant(4))
    assert.deepEqual(normalizePlace({ base: small, offset: 14 }), { base: byte, offset: 18 })
    const wrapping = binary('+', word, constant(4))
    assert.deepEqual(normalizePlace({ base: wrapping, offset: 14 }), { base: wrapping, offset: 14 })
    const below = binary('-', byte, constant(1))
    assert.deepEqual(normalizePlace({ base: below, offset: 14 }), { base: below, offset: 14 })
  })

  it('takes a value that uses each of its parts twice for as large as it is in memory', () => {
    /** As a tree it has 2^200 leaves, so whoever walked it as one would not come back. */
    const chain = (length: number) => {
      let value: Value = byte
      for (let header = 0; header < length; header++)
        value = binary('+', load({ base: value, offset: header }, 0, 4), value)
      return value
    }
    const [value, same, other] = [chain(200), chain(200), chain(201)]
    assert.equal(value.key, same.key)
    assert.notEqual(value.key, other.key)
    assert.ok(value.key.length <= 128)
    assert.equal(loadsOf(value).length, 201)
    assert.deepEqual([divides(value), possibleBits(value)], [false, 0xffff_ffff])
  })
})
