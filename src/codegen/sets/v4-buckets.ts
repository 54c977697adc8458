import type { Ranges } from './v4-ranges.js'

/** Bytes of a bucket: a quarter of a cache line. */
export const BUCKET_BYTES = 16

/** 2^32 divided by the golden ratio, odd: spreads what is regular (Knuth, volume 3, section 6.4). */
export const MULTIPLIER = 0x9e3779b1

/**
 * With `hash = address * MULTIPLIER mod 2^32`, which each address has for itself,
 * the bucket is `hash >> shift` and the tag the hash's lowest `tagBits`. Both
 * together are the whole hash, so that a tag alone tells its address apart from
 * all others of the bucket.
 */
export interface AddressBuckets {
  /** The buckets' bytes: 4 tags of 32 bits each, or 8 of 16. */
  readonly bytes: Uint8Array
  /** 0: there are none. */
  readonly shift: number
  readonly tagBits: 32 | 16
}

/** Ranges up to this long are stored address by address. */
const LONGEST = 4
/** Addresses a bucket at most, on average: about one in a hundred then finds its bucket full. */
const MEAN = { 32: 1.5, 16: 4 } as const
/** One bit more than a 16-bit tag leaves over: that bit, wrong, marks a slot as free. Up to here tags have 32 bits. */
const NARROW_BITS = 17
/** From here on single addresses are worth a look of their own, whatever else is in the set. */
const MANY = 2 ** 18

const NONE: AddressBuckets = { bytes: new Uint8Array(0), shift: 0, tagBits: 32 }

/**
 * The short ranges as a hash table without a second place to look: what finds
 * its bucket full stays among the `others`, as the longer ranges do. A set in
 * which short ranges are the exception stays as it is, because then most
 * packets would look in both.
 */
export function buildBuckets(ranges: Ranges): { readonly buckets: AddressBuckets; readonly others: Ranges } {
  const singles = countShort(ranges)
  if (singles === 0 || (singles < MANY && singles < ranges.count)) return { buckets: NONE, others: ranges }
  const table = emptyTable(singles)
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
    else for (let address = first; address <= last; address++) if (!put(table, address)) keep(address, address)
  }
  fillUp(table)
  const { tags, shift, tagBits } = table
  return { buckets: { bytes: new Uint8Array(tags.buffer), shift, tagBits }, others }
}

interface Table {
  readonly tags: Uint32Array | Uint16Array
  readonly shift: number
  readonly tagBits: 32 | 16
  /** Tags in a bucket. */
  readonly slots: number
  /** Tags in use, by bucket. */
  readonly used: Uint8Array
}

/** Wide tags as long as their table is no larger than the smallest that narrow ones can have. */
function emptyTable(singles: number): Table {
  const bitsFor = (mean: number) => Math.max(1, Math.ceil(Math.log2(singles / mean)))
  const tagBits = bitsFor(MEAN[32]) <= NARROW_BITS ? 32 : 16
  const bits = tagBits === 32 ? bitsFor(MEAN[32]) : Math.max(NARROW_BITS, bitsFor(MEAN[16]))
  const slots = (8 * BUCKET_BYTES) / tagBits
  const tags = tagBits === 32 ? new Uint32Array(slots << bits) : new Uint16Array(slots << bits)
  return { tags, shift: 32 - bits, tagBits, slots, used: new Uint8Array(1 << bits) }
}

function put({ tags, shift, slots, used }: Table, address: number): boolean {
  const hash = Math.imul(address, MULTIPLIER)
  const bucket = hash >>> shift
  if (used[bucket] === slots) return false
  tags[bucket * slots + used[bucket]!++] = hash
  return true
}

/** Free slots get a tag whose highest bit, which is one of the bucket's number as well, is not that of the bucket. */
function fillUp({ tags, shift, tagBits, slots, used }: Table): void {
  const high = 2 ** (tagBits - 1)
  used.forEach((count, bucket) => {
    const free = (bucket * 2 ** shift) % (2 * high) >= high ? 0 : high
    tags.fill(free, bucket * slots + count, (bucket + 1) * slots)
  })
}

function countShort({ firsts, lasts, count }: Ranges): number {
  let singles = 0
  for (let range = 0; range < count; range++) {
    const length = lasts[range]! - firsts[range]! + 1
    if (length <= LONGEST) singles += length
  }
  return singles
}
