import type { PrefixList, SetContents } from './prefix-set.js'

/** Addresses that come and go; lists as `readSet` gives them. */
export interface SetChange {
  readonly add?: SetContents
  /** Need not be in the set, nor as the prefixes that it has: what is left of a prefix stays. */
  readonly remove?: SetContents
}

/**
 * What a set holds after a change: first what is removed goes, then what is
 * added comes. Lists are as `readSet` gives them, before and after. The time is
 * that of copying the lists, and some for each prefix that changes.
 */
export function changeContents({ v4, v6 }: SetContents, { add, remove }: SetChange): SetContents {
  return {
    v4: united(without(v4, remove?.v4, 1), add?.v4, 1),
    v6: united(without(v6, remove?.v6, 4), add?.v6, 4),
  }
}

type Width = 1 | 4

/** `list` without the addresses of `removed`. */
function without(list: PrefixList, removed: PrefixList | undefined, width: Width): PrefixList {
  if (removed === undefined || removed.lengths.length === 0) return list
  const result = createCopy(list, width)
  for (let first = 0; first < removed.lengths.length; ) {
    const at = placeOf(list, removed, first, width)
    if (at > 0 && covers(list, at - 1, removed, first, width)) {
      let end = first
      while (end < removed.lengths.length && covers(list, at - 1, removed, end, width)) end++
      result.copyUpTo(at - 1)
      const words = list.words.subarray((at - 1) * width, at * width)
      addRest({ words, length: list.lengths[at - 1]! }, removed, first, end, width, result.add)
      result.skipTo(at)
      first = end
    } else {
      result.copyUpTo(at)
      result.skipTo(endOfCovered(list, at, removed, first, width))
      first++
    }
  }
  return result.finish()
}

/** `list` and the addresses of `added`. */
function united(list: PrefixList, added: PrefixList | undefined, width: Width): PrefixList {
  if (added === undefined || added.lengths.length === 0) return list
  const result = createCopy(list, width)
  for (let index = 0; index < added.lengths.length; index++) {
    const at = placeOf(list, added, index, width)
    if (at > 0 && covers(list, at - 1, added, index, width)) continue
    result.copyUpTo(at)
    result.add(added.words.subarray(index * width, (index + 1) * width), added.lengths[index]!)
    result.skipTo(endOfCovered(list, at, added, index, width))
  }
  return result.finish()
}

interface Prefix {
  readonly words: Uint32Array
  readonly length: number
}

/** Adds what `prefix` has beside the prefixes `first` to `end` of `removed`, which lie in it: its halves, and theirs. */
function addRest(
  prefix: Prefix,
  removed: PrefixList,
  first: number,
  end: number,
  width: Width,
  add: (words: Uint32Array, length: number) => void,
): void {
  const { words, length } = prefix
  if (first === end) {
    add(words, length)
    return
  }
  if (removed.lengths[first] === length) return
  const bit = 1 << (31 - (length & 31))
  const word = length >>> 5
  let middle = first
  while (middle < end && (removed.words[middle * width + word]! & bit) === 0) middle++
  const upper = words.slice()
  upper[word]! |= bit
  addRest({ words, length: length + 1 }, removed, first, middle, width, add)
  addRest({ words: upper, length: length + 1 }, removed, middle, end, width, add)
}

/** A copy of `list` that leaves out and puts in as it goes. */
function createCopy(list: PrefixList, width: Width) {
  let words = new Uint32Array(list.words.length + 1024 * width)
  let lengths = new Uint8Array(list.lengths.length + 1024)
  let count = 0
  let next = 0
  const reserve = (prefixes: number) => {
    if (count + prefixes <= lengths.length) return
    const [oldWords, oldLengths] = [words, lengths]
    lengths = new Uint8Array(2 * (count + prefixes))
    words = new Uint32Array(lengths.length * width)
    lengths.set(oldLengths)
    words.set(oldWords)
  }
  const copyUpTo = (end: number) => {
    if (end <= next) return
    reserve(end - next)
    words.set(list.words.subarray(next * width, end * width), count * width)
    lengths.set(list.lengths.subarray(next, end), count)
    count += end - next
    next = end
  }
  return {
    copyUpTo,
    skipTo(end: number) {
      if (end > next) next = end
    },
    add(from: Uint32Array, length: number) {
      reserve(1)
      words.set(from, count * width)
      lengths[count++] = length
    },
    finish(): PrefixList {
      copyUpTo(list.lengths.length)
      return { words: words.slice(0, count * width), lengths: lengths.slice(0, count) }
    },
  }
}

/** How many prefixes of `list` stand before prefix `index` of `other`, by address and then by length. */
function placeOf(list: PrefixList, other: PrefixList, index: number, width: Width): number {
  let low = 0
  let high = list.lengths.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBefore(list, middle, other, index, width)) low = middle + 1
    else high = middle
  }
  return low
}

function isBefore(list: PrefixList, at: number, other: PrefixList, index: number, width: Width): boolean {
  for (let word = 0; word < width; word++) {
    const difference = list.words[at * width + word]! - other.words[index * width + word]!
    if (difference !== 0) return difference < 0
  }
  return list.lengths[at]! < other.lengths[index]!
}

/** Behind the last prefix of `list` from `at` on that lies in prefix `index` of `outer`. */
function endOfCovered(list: PrefixList, at: number, outer: PrefixList, index: number, width: Width): number {
  let end = at
  while (end < list.lengths.length && covers(outer, index, list, end, width)) end++
  return end
}

/** Whether the first prefix has all addresses of the second. */
function covers(outer: PrefixList, at: number, inner: PrefixList, index: number, width: Width): boolean {
  const length = outer.lengths[at]!
  if (length > inner.lengths[index]!) return false
  for (let word = 0, bits = length; bits > 0; word++, bits -= 32) {
    const differing = outer.words[at * width + word]! ^ inner.words[index * width + word]!
    if (differing >>> Math.max(0, 32 - bits) !== 0) return false
  }
  return true
}
