/**
 * Prefixes of one family: `lengths[i]` belongs to word `i` for IPv4, and to the
 * words from `4 * i` for IPv6, most significant first. Look-up tables are built
 * from lists in any order, whose prefixes may repeat, lie in one another and
 * have bits behind their length; `readSet` gives none of these.
 */
export interface PrefixList {
  readonly words: Uint32Array
  readonly lengths: Uint8Array
}

/** What a named set holds. Two sets of the same addresses that `readSet` has read, however written, are equal. */
export interface SetContents {
  readonly v4: PrefixList
  readonly v6: PrefixList
}

/**
 * The prefixes sorted, each once, without those that lie inside another.
 * `wordsEach` is 1 or 4; bits behind a prefix must be 0.
 */
export function buildTable(words: Uint32Array, lengths: Uint8Array, wordsEach: 1 | 4): PrefixList {
  const order = sortedOrder(words, lengths, wordsEach)
  const kept = new Uint32Array(order.length)
  let count = 0
  for (let at = 0; at < order.length; at++) {
    const index = order[at]!
    // In this order a prefix comes before everything that lies inside it.
    const last = kept[count - 1]
    if (last !== undefined && covers(words, last * wordsEach, lengths[last]!, words, index * wordsEach)) continue
    kept[count++] = index
  }
  const table = { words: new Uint32Array(count * wordsEach), lengths: new Uint8Array(count) }
  for (let at = 0; at < count; at++) {
    const from = kept[at]! * wordsEach
    for (let word = 0; word < wordsEach; word++) table.words[at * wordsEach + word] = words[from + word]!
    table.lengths[at] = lengths[kept[at]!]!
  }
  return table
}

/** Whether the address is in the set, whose lists are as `buildTable` gives them: a binary search. `words` are those of an IPv4 (1) or IPv6 (4) address. */
export function isInSet({ v4, v6 }: SetContents, family: 4 | 6, words: readonly number[]): boolean {
  const table = family === 4 ? v4 : v6
  const wordsEach = family === 4 ? 1 : 4
  let low = 0
  let high = table.lengths.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareWords(table.words, middle * wordsEach, words, wordsEach) <= 0) low = middle + 1
    else high = middle
  }
  return low > 0 && covers(table.words, (low - 1) * wordsEach, table.lengths[low - 1]!, words, 0)
}

function compareWords(one: Uint32Array, at: number, other: readonly number[], count: number): number {
  for (let word = 0; word < count; word++) {
    const difference = one[at + word]! - other[word]!
    if (difference !== 0) return difference
  }
  return 0
}

/** The first `length` bits are the same. */
function covers(one: Uint32Array, at: number, length: number, other: ArrayLike<number>, otherAt: number): boolean {
  const whole = length >>> 5
  for (let word = 0; word < whole; word++) if (one[at + word] !== other[otherAt + word]) return false
  const rest = length & 31
  return rest === 0 || (one[at + whole]! ^ other[otherAt + whole]!) >>> (32 - rest) === 0
}

/**
 * Indexes by address, shorter prefixes first: a radix sort from the least
 * significant byte on, because a comparing one would call a function twenty
 * times for each of a million prefixes.
 */
function sortedOrder(words: Uint32Array, lengths: Uint8Array, wordsEach: number): Uint32Array {
  const count = lengths.length
  let order = new Uint32Array(count).map((_, index) => index)
  let next = new Uint32Array(count)
  /** By 8 bits of every `stride`-th number from `first` on. */
  const pass = (numbers: Uint32Array | Uint8Array, first: number, stride: number, shift: number) => {
    const starts = new Uint32Array(257)
    for (let index = 0; index < count; index++) starts[((numbers[index * stride + first]! >>> shift) & 255) + 1]!++
    if (starts.includes(count)) return
    for (let digit = 0; digit < 256; digit++) starts[digit + 1]! += starts[digit]!
    for (let at = 0; at < count; at++) {
      const index = order[at]!
      next[starts[(numbers[index * stride + first]! >>> shift) & 255]!++] = index
    }
    ;[order, next] = [next, order]
  }
  pass(lengths, 0, 1, 0)
  for (let word = wordsEach - 1; word >= 0; word--)
    for (let shift = 0; shift < 32; shift += 8) pass(words, word, wordsEach, shift)
  return order
}
