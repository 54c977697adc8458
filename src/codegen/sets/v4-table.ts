import type { PrefixList } from './prefixes.js'
import { rangesOf } from './v4-ranges.js'

/**
 * IPv4 prefixes as one image that answers with two dependent reads of memory
 * and a short search: an index by the upper 16 bits of the address, and behind
 * it what each of these blocks holds of the lower 16.
 *
 *     0          u32[65537]  first word of block i; that of i + 1 is its end
 *     WORDS_AT   u32[]       one word a range: first << 16 | last, ascending;
 *                            from BITMAP_WORDS ranges on a bit for each address
 *
 * (The containers of Roaring bitmaps: Lemire, Ssi-Yan-Kai, Kaser, "Consistently
 * faster and smaller compressed bitmaps with Roaring", 2016.) A million
 * scattered addresses are about 16 ranges a block, a single cache line. Memory:
 * 256 KiB, and 4 bytes a range, where a range ends at each block's end.
 */
export const WORDS_AT = 262_208

/** Words of a bitmap of 65,536 bits, and the ranges of a block that is stored as one. */
export const BITMAP_WORDS = 2048

const BLOCKS = 65_536
const BLOCK_MASK = 0xffff

/** The image of the prefixes' addresses. */
export function buildV4Table(prefixes: PrefixList): Uint8Array {
  const { firsts, lasts, count } = rangesOf(prefixes)
  const pieces = new Uint32Array(BLOCKS)
  for (let range = 0; range < count; range++) {
    for (let block = firsts[range]! >>> 16; block <= lasts[range]! >>> 16; block++) pieces[block]!++
  }
  const begins = new Uint32Array(BLOCKS + 1)
  for (let block = 0; block < BLOCKS; block++) {
    begins[block + 1] = begins[block]! + Math.min(pieces[block]!, BITMAP_WORDS)
  }
  const image = new Uint8Array(WORDS_AT + begins[BLOCKS]! * 4)
  new Uint32Array(image.buffer, 0, BLOCKS + 1).set(begins)
  const words = new Uint32Array(image.buffer, WORDS_AT)
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
  return image
}

function setBits(words: Uint32Array, at: number, from: number, to: number): void {
  for (let bit = from; bit <= to; bit++) words[at + (bit >>> 5)]! |= 1 << (bit & 31)
}
