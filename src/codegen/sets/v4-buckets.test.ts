import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { buildBuckets, MULTIPLIER, SLOTS } from './v4-buckets.js'
import type { Ranges } from './v4-ranges.js'

/** Ranges of `length` addresses each, `stride` apart. */
function regular(count: number, length: number, stride: number): Ranges {
  const firsts = Uint32Array.from({ length: count }, (_, range) => range * stride)
  return { firsts, lasts: firsts.map((first) => first + length - 1), count }
}

function addressesIn(tags: Uint16Array, shift: number, address: number): number {
  const hash = Math.imul(address, MULTIPLIER) >>> 0
  const bucket = hash >>> shift
  return tags.subarray(bucket * SLOTS, (bucket + 1) * SLOTS).filter((tag) => tag === (hash & 0xffff)).length
}

describe('buckets of single addresses', () => {
  it('are not made for a few', () => {
    const ranges = regular(1000, 1, 10)
    const { buckets, others } = buildBuckets(ranges)
    assert.deepEqual([buckets.tags.length, buckets.shift], [0, 0])
    assert.equal(others, ranges)
  })

  for (const stride of [2, 256, 65_536 / 8, 9973]) {
    it(`hold or hand on every address, ${stride} apart, once`, () => {
      const ranges = regular(300_000, 1, stride)
      const { buckets, others } = buildBuckets(ranges)
      const kept = new Set(others.firsts.subarray(0, others.count))
      for (const address of ranges.firsts) {
        assert.equal(addressesIn(buckets.tags, buckets.shift, address) + (kept.has(address) ? 1 : 0), 1, `${address}`)
        assert.equal(addressesIn(buckets.tags, buckets.shift, address + 1), 0, `${address} + 1`)
      }
      assert.ok(others.count < ranges.count / 50, `${others.count} found their bucket full`)
    })
  }

  it('hold short ranges address by address, and leave longer ones', () => {
    const short = buildBuckets(regular(100_000, 3, 1000))
    assert.ok(short.buckets.tags.length > 0 && short.others.count < 6000)
    const long = buildBuckets(regular(300_000, 5, 1000))
    assert.equal(long.buckets.tags.length, 0)
  })
})
