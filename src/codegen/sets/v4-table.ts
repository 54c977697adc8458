import type { PrefixList } from '../../policy/index.js'
import { BLOCKS, buildBlocks } from './v4-blocks.js'
import { type AddressBuckets, buildBuckets } from './v4-buckets.js'
import { rangesOf } from './v4-ranges.js'

/**
 * IPv4 prefixes as one image: ranges behind an index by the upper 16 bits of the
 * address, and before them, where most are single addresses, a hash table of
 * these that costs a look-up one cache line.
 *
 *     HEADER      at the offsets there: u32 turns of the search; bucketShift, 0
 *                 without buckets; wordsAt, where the blocks' words begin;
 *                 hasRanges, 0 or 1; tagMask; u64 1 in each lane, and the
 *                 highest bit of each
 *     INDEX_AT    u32[65536]  an entry for each block
 *     BUCKETS_AT  u32[4] or u16[8] a bucket, in lanes of u64[2]
 *     then        u64[]       the words of the blocks
 *
 * (Containers that differ by block are those of Roaring bitmaps: Lemire,
 * Ssi-Yan-Kai, Kaser, "Consistently faster and smaller compressed bitmaps with
 * Roaring", 2016; slots by as many bits as a block needs those of level
 * compression: Nilsson, Karlsson, "IP-address lookup using LC-tries", 1999.)
 * Memory: 256 KiB, 4 to 21 bytes a single address in buckets, and 4 to 40 bytes a
 * range, where a range ends at each block's end and none is longer than a block.
 */
export const HEADER = {
  turns: 0,
  bucketShift: 4,
  wordsAt: 8,
  hasRanges: 12,
  tagMask: 16,
  eachLane: 24,
  highestBits: 32,
} as const
export const INDEX_AT = 64
export const BUCKETS_AT = INDEX_AT + BLOCKS * 4

/** The image of the prefixes' addresses. */
export function buildV4Table(prefixes: PrefixList): Uint8Array {
  const { buckets, others } = buildBuckets(rangesOf(prefixes))
  const { index, words, turns } = buildBlocks(others)
  const wordsAt = BUCKETS_AT + buckets.bytes.length
  const image = new Uint8Array(wordsAt + words.length)
  const header = new DataView(image.buffer)
  header.setUint32(HEADER.turns, turns, true)
  header.setUint32(HEADER.wordsAt, wordsAt, true)
  header.setUint32(HEADER.hasRanges, Math.min(others.count, 1), true)
  writeBucketHeader(header, buckets)
  new Uint32Array(image.buffer, INDEX_AT).set(index)
  image.set(buckets.bytes, BUCKETS_AT)
  image.set(words, wordsAt)
  return image
}

function writeBucketHeader(header: DataView, { shift, tagBits }: AddressBuckets): void {
  const eachLane = tagBits === 32 ? 0x0000_0001_0000_0001n : 0x0001_0001_0001_0001n
  header.setUint32(HEADER.bucketShift, shift, true)
  header.setUint32(HEADER.tagMask, 2 ** tagBits - 1, true)
  header.setBigUint64(HEADER.eachLane, eachLane, true)
  header.setBigUint64(HEADER.highestBits, eachLane << BigInt(tagBits - 1), true)
}
