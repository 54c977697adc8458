import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BLOCKS, buildBlocks, KIND_BITMAP, KIND_BITS, KIND_SEARCH } from './v4-blocks.js'
import type { Ranges } from './v4-ranges.js'

function rangesFrom(...pairs: readonly (readonly [number, number])[]): Ranges {
  return {
    firsts: Uint32Array.from(pairs, ([first]) => first),
    lasts: Uint32Array.from(pairs, ([, last]) => last),
    count: pairs.length,
  }
}

function kindOf(index: Uint32Array, block: number): number {
  return index[block]! & (2 ** KIND_BITS - 1)
}

describe('blocks of 65,536 addresses', () => {
  it('have an entry of 0 where nothing is in them', () => {
    const { index } = buildBlocks(rangesFrom([0x0001_0000, 0x0001_0003]))
    assert.deepEqual(
      [...index.subarray(0, 3).keys()].filter((block) => index[block] !== 0),
      [1],
    )
  })

  it('share one slot where all of their addresses are in the set', () => {
    const { index, words } = buildBlocks(rangesFrom([0, 0xffff_ffff]))
    assert.deepEqual(new Set(index), new Set([1 << KIND_BITS]))
    assert.equal(index.length, BLOCKS)
    assert.equal(words.length, 16)
  })

  it('have as many slots as leave two ranges in each', () => {
    const two = buildBlocks(rangesFrom([0, 255], [1024, 1279]))
    assert.equal(kindOf(two.index, 0), 0)
    // 255 and 8192 must not share a slot: they differ in the third bit from the top.
    const three = buildBlocks(rangesFrom([0, 255], [4096, 4351], [8192, 8447]))
    assert.equal(kindOf(three.index, 0), 3)
    assert.equal(three.turns, 0)
  })

  it('are searched where slots would be many for few ranges, and a bitmap where there are thousands', () => {
    const dense = Array.from({ length: 100 }, (_, range) => [range * 4, range * 4 + 1] as const)
    const searched = buildBlocks(rangesFrom(...dense))
    assert.equal(kindOf(searched.index, 0), KIND_SEARCH)
    assert.equal(searched.turns, 7)
    const many = Array.from({ length: 2048 }, (_, range) => [range * 4, range * 4 + 1] as const)
    assert.equal(kindOf(buildBlocks(rangesFrom(...many)).index, 0), KIND_BITMAP)
  })
})
