import type { PrefixList, SetContents } from '../../src/policy/index.js'
import type { Random } from './random.js'

/** The most that a random set holds. */
export const MOST_PREFIXES = 5000

export type Family = 4 | 6

const wordsOf = (family: Family) => (family === 4 ? 1 : 4)

export function contentsOf(family: Family, list: PrefixList): SetContents {
  const empty: PrefixList = { words: new Uint32Array(0), lengths: new Uint8Array(0) }
  return family === 4 ? { v4: list, v6: empty } : { v4: empty, v6: list }
}

export function listOf(contents: SetContents, family: Family): PrefixList {
  return family === 4 ? contents.v4 : contents.v6
}

/** Many prefixes; for IPv4 all addresses, which take a word for each block of 65,536. */
export function scattered(random: Random, family: Family, count: number): PrefixList {
  const width = wordsOf(family)
  const lengths = Uint8Array.from({ length: count }, () => 20 + random.below(32 * width - 19))
  if (family === 4) lengths[0] = 0
  return { words: Uint32Array.from({ length: count * width }, random.word), lengths }
}

/** Prefixes that repeat, touch and lie in one another, or single addresses so dense that IPv4 stores them as bits. */
export function randomPrefixes(random: Random, family: Family): PrefixList {
  const width = wordsOf(family)
  const isDense = random.below(8) === 0
  const count = isDense ? MOST_PREFIXES : random.pick([0, 1, 2, 20, 300])
  const bases = Array.from({ length: 1 + random.below(isDense ? 1 : 6) }, () =>
    Array.from({ length: width }, random.word),
  )
  const words = new Uint32Array(count * width)
  const lengths = new Uint8Array(count)
  const shortest = random.pick([0, 4, 12, 20])
  for (let prefix = 0; prefix < count; prefix++) {
    const at = prefix * width
    words.set(random.pick(bases), at)
    const word = isDense ? width - 1 : random.below(width)
    words[at + word]! ^= isDense ? random.below(16_384) : random.word() >>> random.below(32)
    lengths[prefix] = isDense ? 32 * width : shortest + random.below(32 * width + 1 - shortest)
  }
  return { words, lengths }
}

/** Around the first or the last address of a prefix, inside of one, or anywhere. */
export function addressNear(random: Random, { words, lengths }: PrefixList, family: Family): number[] {
  const width = wordsOf(family)
  const anywhere = Array.from({ length: width }, random.word)
  if (lengths.length === 0 || random.below(10) === 0) return anywhere
  const prefix = random.below(lengths.length)
  const kind = random.below(3)
  const address = anywhere.map((other, word) => {
    const mask = maskOf(lengths[prefix]! - 32 * word)
    return ((words[prefix * width + word]! & mask) | ((kind === 0 ? 0 : kind === 1 ? -1 : other) & ~mask)) >>> 0
  })
  let step = random.below(3) - 1
  for (let word = width - 1; word >= 0 && step !== 0; word--) {
    const sum = address[word]! + step
    address[word] = sum >>> 0
    if (sum === address[word]) step = 0
  }
  return address
}

export function isCovered({ words, lengths }: PrefixList, address: readonly number[]): boolean {
  return lengths.some((length, prefix) =>
    address.every(
      (word, index) => ((word ^ words[prefix * address.length + index]!) & maskOf(length - 32 * index)) === 0,
    ),
  )
}

function maskOf(length: number): number {
  return length <= 0 ? 0 : length >= 32 ? -1 : -1 << (32 - length)
}

export function describeList({ words, lengths }: PrefixList): string {
  const width = words.length / Math.max(lengths.length, 1)
  const shown = Array.from(lengths.slice(0, 20), (length, prefix) => {
    const hex = Array.from(words.subarray(prefix * width, (prefix + 1) * width), (word) => word.toString(16))
    return `${hex.join(':')}/${length}`
  })
  return `${lengths.length} prefixes: ${shown.join(' ')}`
}
