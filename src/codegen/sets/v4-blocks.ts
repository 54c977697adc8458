import type { Ranges } from './v4-ranges.js'

/**
 * The ranges of each block of 65,536 addresses, in the form that answers
 * soonest. An entry of the index is `unit << KIND_BITS | kind`: the unit of 8
 * bytes at which the block's words begin, counted from the first of all; 0
 * where no address of the block is in the set.
 *
 *     kind 0-11      2^kind slots of u64, slot `address >> (16 - kind)`: the two
 *                    ranges that reach into the slot, a word each
 *     KIND_BITMAP    u64[1024], a bit for each address
 *     KIND_SEARCH    u32 how many, then u32[], a word each range, ascending
 *
 * A word is `first << 16 | last`. A look-up in slots is one dependent read and
 * no search; their number is that which gives each slot two ranges at most.
 */
export const KIND_BITS = 4
export const MOST_SLOT_BITS = 11
export const KIND_BITMAP = 14
export const KIND_SEARCH = 15

/** Ranges from which on a block is a bitmap, which then is no larger than they are. */
export const BITMAP_RANGES = 2048

export const BLOCKS = 65_536
const BLOCK_MASK = 0xffff
const BITMAP_UNITS = 1024
/** A range that holds no address, for slots that have fewer than two. */
const NOTHING = 0xffff0000
/** The range of a whole block; all such blocks share one slot. */
const WHOLE = 0x0000ffff

/** Bytes that slots may take: one cache line, and as much for a few ranges as the index of a search would. */
const SLOT_BYTES = { least: 64, perRange: 32 } as const

export interface Blocks {
  /** The entry of each block. */
  readonly index: Uint32Array
  readonly words: Uint8Array
  /** Turns of the search that the block with the most ranges needs; each halves them, rounding up, until one is left. */
  readonly turns: number
}

/** Cuts the ranges into blocks. */
export function buildBlocks(ranges: Ranges): Blocks {
  const pieces = piecesOf(ranges)
  const kinds = new Uint8Array(BLOCKS)
  const index = new Uint32Array(BLOCKS)
  // Unit 0 is no block's, because an entry of 0 is an empty one; unit 1 is what whole blocks share.
  let units = 2
  let most = 1
  for (let block = 0; block < BLOCKS; block++) {
    const [from, to] = [pieces.begins[block]!, pieces.begins[block + 1]!]
    if (from === to) continue
    if (to - from === 1 && pieces.words[from] === WHOLE) {
      index[block] = 1 << KIND_BITS
      continue
    }
    kinds[block] = kindOf(pieces.words, from, to)
    index[block] = ((units << KIND_BITS) | kinds[block]!) >>> 0
    units += unitsOf(kinds[block]!, to - from)
    if (kinds[block] === KIND_SEARCH) most = Math.max(most, to - from)
  }
  const words = new Uint32Array(units * 2)
  words.set([WHOLE, NOTHING], 2)
  for (let block = 0; block < BLOCKS; block++) {
    const at = (index[block]! >>> KIND_BITS) * 2
    if (at > 2) write(words, at, kinds[block]!, pieces.words.subarray(pieces.begins[block]!, pieces.begins[block + 1]!))
  }
  return { index, words: new Uint8Array(words.buffer), turns: Math.ceil(Math.log2(most)) }
}

/** The part of each range in each block that it reaches into; those of block `i` are at `begins[i]` to `begins[i + 1]`. */
interface Pieces {
  readonly begins: Uint32Array
  readonly words: Uint32Array
}

function piecesOf({ firsts, lasts, count }: Ranges): Pieces {
  const begins = new Uint32Array(BLOCKS + 1)
  for (let range = 0; range < count; range++) {
    for (let block = firsts[range]! >>> 16; block <= lasts[range]! >>> 16; block++) begins[block + 1]!++
  }
  for (let block = 0; block < BLOCKS; block++) begins[block + 1]! += begins[block]!
  const words = new Uint32Array(begins[BLOCKS]!)
  let filled = 0
  // Ranges ascend, and so do their pieces.
  for (let range = 0; range < count; range++) {
    const [first, last] = [firsts[range]!, lasts[range]!]
    for (let block = first >>> 16; block <= last >>> 16; block++) {
      const from = block === first >>> 16 ? first & BLOCK_MASK : 0
      const to = block === last >>> 16 ? last & BLOCK_MASK : BLOCK_MASK
      words[filled++] = ((from << 16) | to) >>> 0
    }
  }
  return { begins, words }
}

function kindOf(words: Uint32Array, from: number, to: number): number {
  const count = to - from
  if (count >= BITMAP_RANGES) return KIND_BITMAP
  // Three ranges reach into one slot where the last address of one and the first of the next but one lie there.
  let bits = 0
  for (let range = from; range + 2 < to; range++) {
    const apart = (words[range]! & BLOCK_MASK) ^ (words[range + 2]! >>> 16)
    bits = Math.max(bits, Math.clz32(apart) - 15)
  }
  const isSmall = 8 << bits <= SLOT_BYTES.least + SLOT_BYTES.perRange * count
  return bits <= MOST_SLOT_BITS && isSmall ? bits : KIND_SEARCH
}

function unitsOf(kind: number, count: number): number {
  if (kind === KIND_BITMAP) return BITMAP_UNITS
  return kind === KIND_SEARCH ? Math.ceil((count + 1) / 2) : 1 << kind
}

function write(words: Uint32Array, at: number, kind: number, ranges: Uint32Array): void {
  if (kind === KIND_SEARCH) {
    words[at] = ranges.length
    words.set(ranges, at + 1)
    return
  }
  if (kind !== KIND_BITMAP) words.fill(NOTHING, at, at + 2 * unitsOf(kind, 0))
  for (const range of ranges) {
    const [first, last] = [range >>> 16, range & BLOCK_MASK]
    if (kind === KIND_BITMAP) for (let bit = first; bit <= last; bit++) words[at + (bit >>> 5)]! |= 1 << (bit & 31)
    else
      for (let slot = first >>> (16 - kind); slot <= last >>> (16 - kind); slot++) {
        const place = at + 2 * slot
        words[words[place] === NOTHING ? place : place + 1] = range
      }
  }
}
