import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { disjointPrefixes } from './v6-prefixes.js'

type Prefix = readonly [words: readonly [number, number, number, number], length: number]

function disjoint(...prefixes: readonly Prefix[]): string[] {
  const words = Uint32Array.from(prefixes.flatMap(([address]) => address))
  const list = disjointPrefixes({ words, lengths: Uint8Array.from(prefixes, ([, length]) => length) })
  return Array.from(list.lengths, (length, prefix) => {
    const hex = Array.from(list.words.subarray(prefix * 4, prefix * 4 + 4), (word) => word.toString(16))
    return `${hex.join(':')}/${length}`
  })
}

describe('disjoint IPv6 prefixes', () => {
  it('ascend by all their words, without host bits', () => {
    assert.deepEqual(
      disjoint([[0xfe800000, 1, 2, 3], 10], [[0x20010db8, 0, 1, 0xffff], 112], [[0x20010db8, 0, 0, 1], 128]),
      ['20010db8:0:0:1/128', '20010db8:0:1:0/112', 'fe800000:0:0:0/10'],
    )
  })

  it('leave out what lies in another, whatever comes first', () => {
    const inner: Prefix = [[0x20010db8, 7, 0, 0], 64]
    const outer: Prefix = [[0x20010db8, 0, 0, 0], 32]
    assert.deepEqual(disjoint(inner, outer, inner), ['20010db8:0:0:0/32'])
    assert.deepEqual(disjoint(outer, [[1, 2, 3, 4], 0]), ['0:0:0:0/0'])
  })

  it('keep neighbours apart, and nothing of nothing', () => {
    assert.deepEqual(disjoint([[0, 0, 0, 1], 128], [[0, 0, 0, 0], 128]), ['0:0:0:0/128', '0:0:0:1/128'])
    assert.deepEqual(disjoint(), [])
  })
})
