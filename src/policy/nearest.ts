/** The word that `word` was probably meant to be: at most two slips away, and fewer than it has letters; or null. */
export function nearest(word: string, choices: readonly string[]): string | null {
  let best: string | null = null
  let least = Math.min(3, Math.ceil(word.length / 2) + 1)
  for (const choice of choices) {
    const slips = distance(word.toLowerCase(), choice.toLowerCase())
    if (slips < least) [best, least] = [choice, slips]
  }
  return best
}

/** Insertions, deletions, replacements and swaps of neighbours (Damerau; the restricted form, "optimal string alignment"). */
function distance(one: string, other: string): number {
  let [beforeLast, last]: number[][] = [[], Array.from({ length: other.length + 1 }, (_, index) => index)]
  for (let i = 1; i <= one.length; i++) {
    const row = [i]
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1]
      row[j] = Math.min(last![j]! + 1, row[j - 1]! + 1, last![j - 1]! + (same ? 0 : 1))
      const isSwap = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      if (isSwap) row[j] = Math.min(row[j]!, beforeLast![j - 2]! + 1)
    }
    ;[beforeLast, last] = [last, row]
  }
  return last![other.length]!
}
