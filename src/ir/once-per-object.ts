/** Begins a key that is a hash. */
export const HASHED = '#'

/**
 * `compute`, asked once for each object that is large. Values and expressions
 * share what they are computed from: taken as trees, those of a chain of headers
 * are thousands of times as large, and whoever walks them has to remember where
 * he was. A key that spells out everything belongs to a small one.
 */
export function oncePerObject<Input extends { readonly key: string }, Output>(
  compute: (input: Input) => Output,
): (input: Input) => Output {
  const known = new WeakMap<Input, Output>()
  return (input) => {
    if (!input.key.includes(HASHED)) return compute(input)
    let output = known.get(input)
    if (output === undefined) {
      output = compute(input)
      known.set(input, output)
    }
    return output
  }
}
