/** Numbers of a property test, the same for the same seed. */
export interface Random {
  readonly seed: number
  /** 32 bits, unsigned. */
  word(): number
  /** 0 to `limit` - 1. */
  below(limit: number): number
  pick<Choice>(choices: readonly Choice[]): Choice
}

/** Of this process; with the seed of a whole run, a file that is run again has the same numbers. */
let drawn = 0

/**
 * A new seed, or that of SLUICE_SEED, printed with the way to run the test
 * again; `pattern` selects the test's file. The generator is Mulberry32.
 */
export function seededRandom(context: { diagnostic(text: string): void }, pattern: string): Random {
  const ofRun = Number(process.env['SLUICE_RUN_SEED'] ?? Date.now())
  const seed = Number(process.env['SLUICE_SEED'] ?? (ofRun + 7919 * drawn++) >>> 0)
  context.diagnostic(`seed ${seed}; again: SLUICE_SEED=${seed} npm test -- ${pattern}`)
  let state = seed | 0
  const word = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (limit: number) => word() % limit
  return { seed, word, below, pick: (choices) => choices[below(choices.length)] }
}
