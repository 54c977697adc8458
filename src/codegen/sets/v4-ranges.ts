import type { PrefixList } from '../../policy/index.js'
import { prefixMask } from './prefix-mask.js'

/** Ranges of addresses, first and last both inside: ascending, with a gap between each two. */
export interface Ranges {
  readonly firsts: Uint32Array
  readonly lasts: Uint32Array
  readonly count: number
}

const LENGTHS = 64

/** The addresses that the prefixes cover, in as few ranges as there can be. */
export function rangesOf({ words, lengths }: PrefixList): Ranges {
  // One number for both, so that one plain sort of a typed array puts them in order.
  const sorted = new Float64Array(words.length)
  let isSorted = true
  for (let index = 0; index < words.length; index++) {
    const length = lengths[index]!
    sorted[index] = ((words[index]! & prefixMask(length)) >>> 0) * LENGTHS + length
    if (index > 0 && sorted[index]! < sorted[index - 1]!) isSorted = false
  }
  // A list that was read is in order, and sorting a million that are takes most of the time.
  if (!isSorted) sorted.sort()
  const firsts = new Uint32Array(sorted.length)
  const lasts = new Uint32Array(sorted.length)
  let count = 0
  for (const entry of sorted) {
    const first = Math.floor(entry / LENGTHS)
    const last = (first | ~prefixMask(entry % LENGTHS)) >>> 0
    if (count > 0 && first <= lasts[count - 1]! + 1) {
      if (last > lasts[count - 1]!) lasts[count - 1] = last
    } else {
      firsts[count] = first
      lasts[count++] = last
    }
  }
  return { firsts, lasts, count }
}
