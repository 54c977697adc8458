import type { PrefixList } from '../../policy/index.js'
import { prefixMask } from './prefix-mask.js'
import { disjointPrefixes } from './v6-prefixes.js'

/**
 * IPv6 prefixes as one image: a binary search over the prefix lengths in which
 * each step asks one hash table (Waldvogel, Varghese, Turner, Plattner,
 * "Scalable high speed IP routing lookups", 1997). The table holds the prefixes,
 * and for each a marker at every shorter length at which its search has to go
 * on to longer ones. As no prefix lies in another, a marker is never wrong
 * about a shorter one, and whoever finds a prefix is done.
 *
 *     0           NODE_BYTES each: the steps; the search begins at step FIRST_NODE
 *     BUCKETS_AT  BUCKET_BYTES each
 *
 *     step:    u64 mask of words 0 and 1, u64 mask of words 2 and 3, u32 tag,
 *              u32 where the hash begins, u32 buckets - 1, u16 next step after
 *              a marker, u16 next step after nothing; 0: not in the set
 *     bucket:  u32 tag[3], 4 bytes unused, 3 times the masked address as two u64
 *     tag:     2 * (length + 1), plus 1 for a prefix; 0 is an empty slot
 *
 * An entry is in one of its two buckets, so a step reads two cache lines at
 * most, and a look-up takes at most 8 steps: one where all lengths are equal.
 */
export const NODE_BYTES = 32
export const BUCKETS_AT = 8192
export const BUCKET_BYTES = 64
export const SLOTS = 3
/** Where the keys begin in a bucket, and bytes of one. */
export const KEYS_AT = 16
export const KEY_BYTES = 16
export const FIRST_NODE = 1
export const MOST_STEPS = 8

/** Byte offsets in a step. */
export const NODE = { high: 0, low: 8, tag: 16, start: 20, mask: 24, marker: 28, nothing: 30 } as const

/** The two multipliers of the hash, odd; and its shifts. */
export const HASH = { word: 0x9e3779b1, second: 0x85ebca6b, wordShift: 15, secondShift: 9 } as const

const BUCKET_WORDS = BUCKET_BYTES / 4
const FULLEST = 0.7
/** Moves after which an insertion is taken to go round in circles. */
const MOST_MOVES = 500
const MOST_SEEDS = 16

interface Step {
  readonly length: number
  readonly node: number
  readonly marker: Step | null
  readonly nothing: Step | null
}

/** The image of the prefixes' addresses. */
export function buildV6Table(prefixes: PrefixList): Uint8Array {
  const list = disjointPrefixes(prefixes)
  const lengths = [...new Set(list.lengths)].sort((one, other) => one - other)
  const root = stepsOver(lengths, { next: FIRST_NODE })
  const entries = entriesOf(list, root)
  for (let buckets = bucketsFor(entries.count); ; buckets *= 2) {
    for (let seed = 0; seed < MOST_SEEDS; seed++) {
      const image = new Uint8Array(BUCKETS_AT + buckets * BUCKET_BYTES)
      if (!place(entries, new Uint32Array(image.buffer, BUCKETS_AT), buckets - 1, seed)) continue
      writeSteps(new DataView(image.buffer), root, buckets - 1, seed)
      return image
    }
  }
}

/** Both buckets of a masked address at the length that `tag` says. */
export function bucketsOf(words: ArrayLike<number>, at: number, start: number, mask: number): [number, number] {
  let hash = start
  for (let word = 0; word < 4; word++) {
    hash = Math.imul(hash ^ words[at + word]!, HASH.word)
    hash ^= hash >>> HASH.wordShift
  }
  return [hash & mask, (Math.imul(hash, HASH.second) >>> HASH.secondShift) & mask]
}

/** Where the hash begins at this length. */
function startOf(tag: number, seed: number): number {
  return (tag ^ (seed << 16)) >>> 0
}

function tagOf(length: number): number {
  return 2 * (length + 1)
}

function bucketsFor(entries: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, entries / SLOTS / FULLEST)))
}

/** The lengths, ascending, as a balanced search tree. */
function stepsOver(lengths: readonly number[], numbers: { next: number }): Step | null {
  if (lengths.length === 0) return null
  const middle = lengths.length >>> 1
  const node = numbers.next++
  return {
    length: lengths[middle]!,
    node,
    marker: stepsOver(lengths.slice(middle + 1), numbers),
    nothing: stepsOver(lengths.slice(0, middle), numbers),
  }
}

/** Prefixes and markers, each once, with the tag of its slot. */
interface Entries {
  readonly words: Uint32Array
  readonly tags: Uint16Array
  readonly count: number
}

function entriesOf({ words, lengths }: PrefixList, root: Step | null): Entries {
  const most = lengths.length * MOST_STEPS
  const entries = { words: new Uint32Array(most * 4), tags: new Uint16Array(most), count: 0 }
  const last = new Map<number, number>()
  lengths.forEach((length, prefix) => {
    for (let step = root; step !== null; step = length < step.length ? step.nothing : step.marker) {
      if (length < step.length) continue
      const at = entries.count * 4
      for (let word = 0; word < 4; word++)
        entries.words[at + word] = words[prefix * 4 + word]! & prefixMask(step.length - 32 * word)
      const tag = tagOf(step.length) + (length === step.length ? 1 : 0)
      // Prefixes ascend, so equal markers follow one another.
      const before = last.get(step.length)
      if (before !== undefined && isEqual(entries.words, before, at)) continue
      last.set(step.length, at)
      entries.tags[entries.count++] = tag
      if (length === step.length) break
    }
  })
  return entries
}

function isEqual(words: Uint32Array, one: number, other: number): boolean {
  for (let word = 0; word < 4; word++) if (words[one + word] !== words[other + word]) return false
  return true
}

/**
 * Puts every entry into one of its two buckets; where both are full it takes
 * another's slot, which moves to that one's second bucket (cuckoo hashing with
 * buckets: Dietzfelbinger, Weidling, 2007). False where that leads nowhere.
 */
function place({ words, tags, count }: Entries, table: Uint32Array, mask: number, seed: number): boolean {
  const owners = new Int32Array((mask + 1) * SLOTS).fill(-1)
  const bucketsOfEntry = (entry: number) => bucketsOf(words, entry * 4, startOf(tags[entry]! & ~1, seed), mask)
  for (let entry = 0; entry < count; entry++) {
    let homeless = entry
    let from = -1
    for (let moves = 0; homeless >= 0; moves++) {
      if (moves > MOST_MOVES) return false
      const [one, other] = bucketsOfEntry(homeless)
      const slot = freeSlot(owners, one) ?? freeSlot(owners, other)
      const bucket = one === from ? other : one
      const taken = slot ?? bucket * SLOTS + (moves % SLOTS)
      const evicted = owners[taken]!
      owners[taken] = homeless
      homeless = evicted
      from = Math.floor(taken / SLOTS)
    }
  }
  owners.forEach((entry, place) => {
    if (entry >= 0) writeSlot(table, place, words, entry * 4, tags[entry]!)
  })
  return true
}

function freeSlot(owners: Int32Array, bucket: number): number | null {
  for (let slot = bucket * SLOTS; slot < (bucket + 1) * SLOTS; slot++) if (owners[slot]! < 0) return slot
  return null
}

/** A u64 of two words has the more significant one last, as the machine is little-endian. */
function writeSlot(table: Uint32Array, place: number, words: Uint32Array, at: number, tag: number): void {
  const slot = place % SLOTS
  const bucket = ((place - slot) / SLOTS) * BUCKET_WORDS
  table[bucket + slot] = tag
  for (let word = 0; word < 4; word++) table[bucket + KEYS_AT / 4 + slot * 4 + word] = words[at + (word ^ 1)]!
}

function writeSteps(view: DataView, root: Step | null, mask: number, seed: number): void {
  const nodes: Step[] = root === null ? [] : [root]
  for (let step = nodes.pop(); step !== undefined; step = nodes.pop()) {
    const { length, node, marker, nothing } = step
    const at = node * NODE_BYTES
    for (let word = 0; word < 4; word++) view.setUint32(at + 4 * (word ^ 1), prefixMask(length - 32 * word), true)
    view.setUint32(at + NODE.tag, tagOf(length), true)
    view.setUint32(at + NODE.start, startOf(tagOf(length), seed), true)
    view.setUint32(at + NODE.mask, mask, true)
    view.setUint16(at + NODE.marker, marker?.node ?? 0, true)
    view.setUint16(at + NODE.nothing, nothing?.node ?? 0, true)
    for (const next of [marker, nothing]) if (next !== null) nodes.push(next)
  }
}
