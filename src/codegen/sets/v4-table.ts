import type { PrefixList } from '../../policy/index.js'
import { type AddressBuckets, buildBuckets } from './v4-buckets.js'
import { type Ranges, rangesOf } from './v4-ranges.js'

/**
 * IPv4 prefixes as one image: sorted ranges behind an index by the upper 16 bits
 * of the address, and before them, where most are single addresses, a hash table
 * of these that costs a look-up one cache line.
 *
 *     HEADER      at the offsets there: u32 turns of the search; bucketShift, 0
 *                 without buckets; wordsAt, where the ranges begin; hasRanges, 0
 *                 or 1; tagMask; u64 1 in each lane, and the highest bit in each
 *     INDEX_AT    u32[65537]  first word of block i; that of i + 1 is its end
 *     BUCKETS_AT  u32[4] or u16[8] a bucket, in lanes of u64[2]
 *     then        u32[]       one word a range: first << 16 | last, ascending;
 *                             from BITMAP_WORDS ranges on a bit for each address
 *
 * (The containers of Roaring bitmaps: Lemire, Ssi-Yan-Kai, Kaser, "Consistently
 * faster and smaller compressed bitmaps with Roaring", 2016.) Memory: 256 KiB,
 * 4 to 21 bytes a single address in buckets, and 4 bytes a range, where a range
 * ends at each block's end and none is longer than a block.
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
export const BUCKETS_AT = 262_272

/** Words of a bitmap of 65,536 bits, and the ranges of a block that is stored as one. */
export const BITMAP_WORDS = 2048

const BLOCKS = 65_536
const BLOCK_MASK = 0xffff

/** The image of the prefixes' addresses. */
export function buildV4Table(prefixes: PrefixList): Uint8Array {
  const { buckets, others } = buildBuckets(rangesOf(prefixes))
  const pieces = piecesOf(others)
  const begins = new Uint32Array(BLOCKS + 1)
  for (let block = 0; block < BLOCKS; block++) {
    begins[block + 1] = begins[block]! + Math.min(pieces[block]!, BITMAP_WORDS)
  }
  const wordsAt = BUCKETS_AT + buckets.bytes.length
  const image = new Uint8Array(wordsAt + begins[BLOCKS]! * 4)
  const header = new DataView(image.buffer)
  header.setUint32(HEADER.turns, turnsFor(pieces), true)
  header.setUint32(HEADER.wordsAt, wordsAt, true)
  header.setUint32(HEADER.hasRanges, Math.min(others.count, 1), true)
  writeBucketHeader(header, buckets)
  new Uint32Array(image.buffer, INDEX_AT).set(begins)
  image.set(buckets.bytes, BUCKETS_AT)
  writeRanges(new Uint32Array(image.buffer, wordsAt), others, pieces, begins)
  return image
}

function writeBucketHeader(header: DataView, { shift, tagBits }: AddressBuckets): void {
  const eachLane = tagBits === 32 ? 0x0000_0001_0000_0001n : 0x0001_0001_0001_0001n
  header.setUint32(HEADER.bucketShift, shift, true)
  header.setUint32(HEADER.tagMask, 2 ** tagBits - 1, true)
  header.setBigUint64(HEADER.eachLane, eachLane, true)
  header.setBigUint64(HEADER.highestBits, eachLane << BigInt(tagBits - 1), true)
}

/** How many ranges each block has a part of. */
function piecesOf({ firsts, lasts, count }: Ranges): Uint32Array {
  const pieces = new Uint32Array(BLOCKS)
  for (let range = 0; range < count; range++) {
    for (let block = firsts[range]! >>> 16; block <= lasts[range]! >>> 16; block++) pieces[block]!++
  }
  return pieces
}

/** Each turn halves the ranges, rounding up, until one is left. */
function turnsFor(pieces: Uint32Array): number {
  const most = pieces.reduce((before, count) => (count < BITMAP_WORDS && count > before ? count : before), 1)
  return Math.ceil(Math.log2(most))
}

function writeRanges(words: Uint32Array, { firsts, lasts, count }: Ranges, pieces: Uint32Array, begins: Uint32Array) {
  const filled = begins.slice()
  for (let range = 0; range < count; range++) {
    const [first, last] = [firsts[range]!, lasts[range]!]
    for (let block = first >>> 16; block <= last >>> 16; block++) {
      const from = block === first >>> 16 ? first & BLOCK_MASK : 0
      const to = block === last >>> 16 ? last & BLOCK_MASK : BLOCK_MASK
      if (pieces[block]! < BITMAP_WORDS) words[filled[block]!++] = ((from << 16) | to) >>> 0
      else setBits(words, begins[block]!, from, to)
    }
  }
}

function setBits(words: Uint32Array, at: number, from: number, to: number): void {
  for (let bit = from; bit <= to; bit++) words[at + (bit >>> 5)]! |= 1 << (bit & 31)
}
