/**
 * A hash table whose look-up is two reads and one comparison, however many
 * keys it has: hash and displace (Pagh, "Hash and displace: efficient
 * evaluation of minimal perfect hash functions", 1999). Words of one bucket
 * share a displacement, chosen while building so that no two keys of the table
 * share a slot:
 *
 *     h = 0;  for each word w of the key:  h = fold((h ^ w) * FIRST)
 *     d = displacements[h >> (32 - bucketBits)]
 *     slot = ((h ^ d) * SECOND) >> (32 - slotBits)
 *
 * `fold` is the high half of a 64-bit product xor its low half. The image has
 * the displacements, 16 bits each, and then the slots: the words of a key and
 * the value. An empty slot has a key that belongs into another, so that no key
 * is found there and nothing has to tell empty slots from others.
 */
export interface RuleTable {
  /** Odd and below 2^31, because the instruction extends its sign. */
  readonly first: number
  readonly second: number
  readonly bucketBits: number
  readonly slotBits: number
  /** Where the slots begin in the image. */
  readonly slotsAt: number
  readonly slotBytes: number
  readonly image: Uint8Array
}

/** One half of the bucket loads that hash-and-displace is usually built with: it fails seldom and builds fast. */
const KEYS_A_BUCKET = 3
const MOST_DISPLACEMENTS = 1 << 16
const ATTEMPTS_A_SIZE = 8
/** 2^32 divided by the golden ratio, which spreads neighbours (Knuth, volume 3, section 6.4). */
const SECOND = 0x9e3779b1

/**
 * The table of `values`, whose keys are `width` words each and all different.
 * Throws where no multiplier works, which keys of an adversary cannot reach:
 * the table grows after each few attempts.
 */
export function buildRuleTable(keys: Uint32Array, width: number, values: Uint32Array): RuleTable {
  let slotBits = Math.max(4, Math.ceil(Math.log2(values.length * 1.25)))
  for (let attempt = 1; slotBits <= 30; attempt++) {
    const first = (Math.imul(attempt, 0x2545f491) >>> 1) | 1
    const built = tryToBuild(keys, width, values, first, slotBits)
    if (built !== null) return built
    if (attempt % ATTEMPTS_A_SIZE === 0) slotBits++
  }
  throw new Error(`no hash table could be built for ${values.length} rules; please report them`)
}

function tryToBuild(
  keys: Uint32Array,
  width: number,
  values: Uint32Array,
  first: number,
  slotBits: number,
): RuleTable | null {
  const bucketBits = Math.max(1, Math.ceil(Math.log2(values.length / KEYS_A_BUCKET)))
  const hashes = hashAll(keys, width, values.length, first)
  const buckets: number[][] = Array.from({ length: 2 ** bucketBits }, () => [])
  for (const [entry, hash] of hashes.entries()) buckets[hash >>> (32 - bucketBits)]!.push(entry)
  const entryAt = new Int32Array(2 ** slotBits).fill(-1)
  const displacements = new Uint16Array(buckets.length)
  const largestFirst = buckets.map((_, bucket) => bucket).sort((a, b) => buckets[b]!.length - buckets[a]!.length)
  for (const bucket of largestFirst) {
    const displacement = displace(buckets[bucket]!, hashes, entryAt, slotBits)
    if (displacement === null) return null
    displacements[bucket] = displacement
  }
  const { image, slotsAt, slotBytes } = imageOf(keys, width, values, displacements, entryAt)
  return { first, second: SECOND, bucketBits, slotBits, slotsAt, slotBytes, image }
}

function hashAll(keys: Uint32Array, width: number, count: number, first: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, entry) => {
    let hash = 0
    for (let word = 0; word < width; word++) hash = fold(hash ^ keys[entry * width + word]!, first)
    return hash
  })
}

/** High xor low half of the product of a 32-bit and a 31-bit number; each sum here is below 2^53. */
function fold(word: number, first: number): number {
  const low = (word & 0xffff) * first
  const high = Math.floor(((word >>> 16) * first + Math.floor(low / 65536)) / 65536)
  return (high ^ Math.imul(word, first)) >>> 0
}

/** Takes a slot for each entry of a bucket under the first displacement that has room; null where none has. */
function displace(entries: readonly number[], hashes: Uint32Array, entryAt: Int32Array, slotBits: number) {
  for (let displacement = 0; displacement < MOST_DISPLACEMENTS; displacement++) {
    const slots = entries.map((entry) => slotOf(hashes[entry]!, displacement, slotBits))
    if (slots.some((slot, index) => entryAt[slot] !== -1 || slots.indexOf(slot) !== index)) continue
    slots.forEach((slot, index) => {
      entryAt[slot] = entries[index]!
    })
    return displacement
  }
  return null
}

function slotOf(hash: number, displacement: number, slotBits: number): number {
  return Math.imul(hash ^ displacement, SECOND) >>> (32 - slotBits)
}

function imageOf(
  keys: Uint32Array,
  width: number,
  values: Uint32Array,
  displacements: Uint16Array,
  entryAt: Int32Array,
): Pick<RuleTable, 'image' | 'slotsAt' | 'slotBytes'> {
  const slotBytes = 4 * (width + 1)
  const slotsAt = (displacements.byteLength + 63) & ~63
  const image = new Uint8Array(slotsAt + slotBytes * entryAt.length)
  image.set(new Uint8Array(displacements.buffer))
  const slots = new Uint32Array(image.buffer, slotsAt)
  entryAt.forEach((entry, slot) => {
    // Entry 0 stands in its own slot, and this is another one.
    const shown = entry === -1 ? 0 : entry
    slots.set(keys.subarray(shown * width, shown * width + width), slot * (width + 1))
    slots[slot * (width + 1) + width] = values[shown]!
  })
  return { image, slotsAt, slotBytes }
}
