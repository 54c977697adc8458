/**
 * From tuples of numbers to rules: what rules of one shape became. Tuple `i`
 * is `keys[i * width]` to `keys[i * width + width - 1]` and stands for rule
 * `rules[i]`; no tuple is there twice.
 */
export interface LookupTable {
  /** Equal tables have equal keys. */
  readonly key: string
  /** Numbers in one tuple. */
  readonly width: number
  readonly keys: Uint32Array
  readonly rules: Uint32Array
}

/** A table of `entries` in the order of their rules: of two equal tuples the first stays, as its rule is asked first. */
export function createLookupTable(
  width: number,
  entries: Iterable<{ readonly tuple: readonly number[]; readonly rule: number }>,
): LookupTable {
  const first = new Map<string, { readonly tuple: readonly number[]; readonly rule: number }>()
  for (const entry of entries) {
    const key = entry.tuple.join()
    if (!first.has(key)) first.set(key, entry)
  }
  const kept = [...first.values()]
  const keys = Uint32Array.from(kept.flatMap(({ tuple }) => tuple))
  const rules = Uint32Array.from(kept, ({ rule }) => rule)
  return { key: `${width}:${keys.join()}>${rules.join()}`, width, keys, rules }
}

/** The rule of `tuple`, or null; one tuple after the other, as an oracle should. */
export function findRule({ width, keys, rules }: LookupTable, tuple: readonly number[]): number | null {
  const index = rules.findIndex((_, entry) => tuple.every((number, word) => keys[entry * width + word] === number))
  return index < 0 ? null : rules[index]!
}
