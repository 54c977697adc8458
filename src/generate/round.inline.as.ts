import {
  GENERATOR_RANGE_COUNT,
  GENERATOR_RANGES,
  RANGE_BASE,
  RANGE_BYTES,
  RANGE_DIGIT,
  RANGE_SHIFT,
  RANGE_STEP,
} from './formats'

/**
 * Begins the next round: its number counts up, of a digit for each range, the
 * first one fastest. Each range is as far along as its own digit and the first
 * one together, so that all of them move in every round, and no two rounds
 * before the number is through are alike.
 */
export function advanceRound(state: u32): void {
  const first = load<u32>(state, GENERATOR_RANGES)
  const end = first + load<u32>(state, GENERATOR_RANGE_COUNT) * RANGE_BYTES
  for (let range = first; range < end; range += RANGE_BYTES) {
    const digit = load<u32>(range, RANGE_DIGIT) + 1
    const isOver = digit === load<u32>(range, RANGE_BASE)
    store<u32>(range, isOver ? 0 : digit, RANGE_DIGIT)
    if (!isOver) break
  }
  for (let range = first; range < end; range += RANGE_BYTES) {
    const along = <u64>load<u32>(range, RANGE_DIGIT) + (range === first ? 0 : <u64>load<u32>(first, RANGE_DIGIT))
    const steps = <u32>(along % <u64>load<u32>(range, RANGE_BASE))
    store<u32>(range, steps * load<u32>(range, RANGE_STEP), RANGE_SHIFT)
  }
}
