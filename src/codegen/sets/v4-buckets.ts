import type { Ranges } from './v4-ranges.js'

/** Tags in a bucket, 16 bits each: a quarter of a cache line. */
export const SLOTS = 8

/** 2^32 divided by the golden ratio, odd: spreads what is regular (Knuth, volume 3, section 6.4). */
export const MULTIPLIER = 0x9e3779b1

/**
 * With `hash = address * MULTIPLIER mod 2^32`, which each address has for itself,
 * the bucket is `hash >> shift` and the tag `hash & 0xffff`. Both together are
 * the whole hash, so that a tag alone tells its address apart from all others.
 */
export interface AddressBuckets {
  readonly tags: Uint16Array
  /** 0: there are none. */
  readonly shift: number
}

/** Ranges up to this long are stored address by address. */
const LONGEST = 4
/** Addresses a bucket at most, on average: one in a hundred then finds its bucket full. */
const MEAN = 4
/** One bit more than a tag leaves over: that bit, wrong, marks a slot as free. */
const LEAST_BITS = 17
/** Below this the sorted ranges are few enough for a core's own cache. */
const FEWEST = 2 ** 18

/**
 * The short ranges as a hash table without a second place to look: what finds
 * its bucket full stays among the `others`, as the longer ranges do. A set with
 * few short ranges stays as it is.
 */
export function buildBuckets(ranges: Ranges): { readonly buckets: AddressBuckets; readonly others: Ranges } {
  const singles = countShort(ranges)
  if (singles < FEWEST) return { buckets: { tags: new Uint16Array(0), shift: 0 }, others: ranges }
  const bits = Math.max(LEAST_BITS, Math.ceil(Math.log2(singles / MEAN)))
  const buckets = { tags: new Uint16Array(SLOTS << bits), shift: 32 - bits }
  const used = new Uint8Array(1 << bits)
  // A short range may stay behind in up to as many pieces as it has addresses.
  const most = ranges.count + singles
  const others = { firsts: new Uint32Array(most), lasts: new Uint32Array(most), count: 0 }
  const keep = (first: number, last: number) => {
    others.firsts[others.count] = first
    others.lasts[others.count++] = last
  }
  for (let range = 0; range < ranges.count; range++) {
    const [first, last] = [ranges.firsts[range]!, ranges.lasts[range]!]
    if (last - first >= LONGEST) keep(first, last)
    else for (let address = first; address <= last; address++) if (!put(buckets, used, address)) keep(address, address)
  }
  fillUp(buckets, used)
  return { buckets, others }
}

function put({ tags, shift }: AddressBuckets, used: Uint8Array, address: number): boolean {
  const hash = Math.imul(address, MULTIPLIER)
  const bucket = hash >>> shift
  if (used[bucket] === SLOTS) return false
  tags[bucket * SLOTS + used[bucket]!++] = hash
  return true
}

/** Free slots get a tag whose highest bit, which is one of the bucket's number as well, is not that of the bucket. */
function fillUp({ tags, shift }: AddressBuckets, used: Uint8Array): void {
  used.forEach((count, bucket) => {
    const free = (bucket << shift) & TAG_HIGH ? 0 : TAG_HIGH
    tags.fill(free, bucket * SLOTS + count, (bucket + 1) * SLOTS)
  })
}

const TAG_HIGH = 0x8000

function countShort({ firsts, lasts, count }: Ranges): number {
  let singles = 0
  for (let range = 0; range < count; range++) {
    const length = lasts[range]! - firsts[range]! + 1
    if (length <= LONGEST) singles += length
  }
  return singles
}
