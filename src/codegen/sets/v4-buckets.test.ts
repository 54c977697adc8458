import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type AddressBuckets, BUCKET_BYTES, buildBuckets, MULTIPLIER } from './v4-buckets.js'
import type { Ranges } from './v4-ranges.js'

/** Ranges of `length` addresses each, `stride` apart. */
function regular(count: number, length: number, stride: number): Ranges {
  const firsts = Uint32Array.from({ length: count }, (_, range) => range * stride)
  return { firsts, lasts: firsts.map((first) => first + length - 1), count }
}

/** How often the address stands in its bucket. */
function timesIn({ bytes, shift, tagBits }: AddressBuckets, address: number): number {
  const hash = Math.imul(address, MULTIPLIER) >>> 0
  const tags = tagBits === 32 ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer)
  const slots = (8 * BUCKET_BYTES) / tagBits
  const bucket = hash >>> shift
  return tags.subarray(bucket * slots, (bucket + 1) * slots).filter((tag) => tag === hash % 2 ** tagBits).length
}

describe('buckets of single addresses', () => {
  it('are not made where longer ranges are more', () => {
    const [singles, long] = [regular(400, 1, 10), regular(500, 8, 100_000)]
    const both = (one: Uint32Array, other: Uint32Array) => Uint32Array.from([...one, ...other])
    const ranges = {
      firsts: both(singles.firsts, long.firsts),
      lasts: both(singles.lasts, long.lasts),
      count: singles.count + long.count,
    }
    const { buckets, others } = buildBuckets(ranges)
    assert.deepEqual([buckets.bytes.length, buckets.shift], [0, 0])
    assert.equal(others, ranges)
  })

  for (const [count, tagBits] of [
    [1, 32],
    [1000, 32],
    [10_000, 32],
    [190_000, 32],
    [200_000, 16],
    [300_000, 16],
  ] as const) {
    for (const stride of [2, 256, 65_536 / 8, 9973]) {
      it(`hold or hand on each of ${count} addresses, ${stride} apart, once, with tags of ${tagBits} bits`, () => {
        const ranges = regular(count, 1, stride)
        const { buckets, others } = buildBuckets(ranges)
        assert.equal(buckets.tagBits, tagBits)
        const kept = new Set(others.firsts.subarray(0, others.count))
        for (const address of ranges.firsts) {
          assert.equal(timesIn(buckets, address) + (kept.has(address) ? 1 : 0), 1, `${address}`)
          assert.equal(timesIn(buckets, address + 1), 0, `${address} + 1`)
        }
        assert.ok(others.count <= ranges.count / 50, `${others.count} found their bucket full`)
      })
    }
  }

  it('hold short ranges address by address, and leave longer ones', () => {
    const short = buildBuckets(regular(100_000, 3, 1000))
    assert.ok(short.buckets.bytes.length > 0 && short.others.count < 6000)
    const long = buildBuckets(regular(300_000, 5, 1000))
    assert.equal(long.buckets.bytes.length, 0)
  })
})
