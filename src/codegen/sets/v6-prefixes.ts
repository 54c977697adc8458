import type { PrefixList } from '../../policy/index.js'
import { prefixMask } from './prefix-mask.js'

const DIGITS = 8
const DIGIT_VALUES = 65_536

/**
 * The prefixes without their host bits and without those that lie in another,
 * ascending: no address is in two of them.
 */
export function disjointPrefixes({ words, lengths }: PrefixList): PrefixList {
  const masked = words.map((word, at) => word & prefixMask(lengths[at >>> 2]! - 32 * (at & 3)))
  // A list that was read is as it should be, and sorting a million prefixes takes longer than all the rest.
  if (isDisjoint(masked, lengths)) return { words: masked, lengths }
  const kept: number[] = []
  for (const prefix of inOrder({ words: masked, lengths })) {
    const outer = kept.at(-1)
    if (outer === undefined || !contains(masked, outer, lengths[outer]!, prefix)) kept.push(prefix)
  }
  return {
    words: Uint32Array.from({ length: kept.length * 4 }, (_, at) => masked[kept[at >>> 2]! * 4 + (at & 3)]!),
    lengths: Uint8Array.from(kept, (prefix) => lengths[prefix]!),
  }
}

/** Whether the prefixes ascend and none lies in another. */
function isDisjoint(words: Uint32Array, lengths: Uint8Array): boolean {
  for (let prefix = 1; prefix < lengths.length; prefix++) {
    if (contains(words, prefix - 1, lengths[prefix - 1]!, prefix)) return false
    let word = 0
    while (word < 3 && words[prefix * 4 + word] === words[prefix * 4 - 4 + word]) word++
    if (words[prefix * 4 + word]! <= words[prefix * 4 - 4 + word]!) return false
  }
  return true
}

function contains(words: Uint32Array, outer: number, length: number, inner: number): boolean {
  for (let word = 0; word < 4; word++) {
    const mask = prefixMask(length - 32 * word)
    if (((words[outer * 4 + word]! ^ words[inner * 4 + word]!) & mask) !== 0) return false
  }
  return true
}

/** Numbers of the prefixes by address, and by length where addresses are equal: a radix sort from the last digit. */
function inOrder({ words, lengths }: PrefixList): Uint32Array {
  let order = Uint32Array.from(lengths, (_, prefix) => prefix)
  order = sortedBy(order, (prefix) => lengths[prefix]!)
  for (let digit = DIGITS - 1; digit >= 0; digit--) {
    const shift = digit & 1 ? 0 : 16
    order = sortedBy(order, (prefix) => (words[prefix * 4 + (digit >>> 1)]! >>> shift) & (DIGIT_VALUES - 1))
  }
  return order
}

/** A stable counting sort. */
function sortedBy(order: Uint32Array, digitOf: (prefix: number) => number): Uint32Array<ArrayBuffer> {
  const ends = new Uint32Array(DIGIT_VALUES + 1)
  for (const prefix of order) ends[digitOf(prefix) + 1]!++
  for (let digit = 0; digit < DIGIT_VALUES; digit++) ends[digit + 1]! += ends[digit]!
  const sorted = new Uint32Array(order.length)
  for (const prefix of order) sorted[ends[digitOf(prefix)]!++] = prefix
  return sorted
}
