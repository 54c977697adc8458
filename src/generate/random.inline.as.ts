/** Words of 64 bits in halves: JavaScript's numbers, which the linter reads here, are shorter. */
const GOLDEN: u64 = ((<u64>0x9e3779b9) << 32) | 0x7f4a7c15
const FIRST_FACTOR: u64 = ((<u64>0xbf58476d) << 32) | 0x1ce4e5b9
const SECOND_FACTOR: u64 = ((<u64>0x94d049bb) << 32) | 0x133111eb
const UNIT: f64 = 1.0 / 9007199254740992.0

/** 64 random bits: SplitMix64 (Steele, Lea and Flood, 2014), whose whole state is the word at `state`. */
export function randomWord(state: u32): u64 {
  let word = load<u64>(state) + GOLDEN
  store<u64>(state, word)
  word = (word ^ (word >> 30)) * FIRST_FACTOR
  word = (word ^ (word >> 27)) * SECOND_FACTOR
  return word ^ (word >> 31)
}

/** 0 to `limit` - 1; all 32 bits where `limit` is 0. */
export function randomBelow(state: u32, limit: u32): u32 {
  const word = randomWord(state) >> 32
  return limit === 0 ? <u32>word : <u32>((word * <u64>limit) >> 32)
}

/** Exponential with mean 1: -ln of a number in (0, 1]. */
export function randomExponential(state: u32): f64 {
  return -logarithm(<f64>((randomWord(state) >> 11) + 1) * UNIT)
}

/**
 * The natural logarithm of a positive normal number, to 1e-11:
 *
 *     ln(m * 2^e) = e ln 2 + 2 (s + s^3/3 + s^5/5 + …),  s = (m - 1) / (m + 1),  m in [2/3, 4/3)
 *
 * The library's own needs a table in memory, of which the module has none.
 */
function logarithm(value: f64): f64 {
  const bits = reinterpret<u64>(value)
  let exponent = <i32>(bits >> 52) - 1023
  let mantissa = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000)
  if (mantissa > 1.3333333333333333) {
    mantissa *= 0.5
    exponent++
  }
  const s = (mantissa - 1) / (mantissa + 1)
  const q = s * s
  const tail = q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q * (1.0 / 11 + q * (1.0 / 13))))))
  return <f64>exponent * Math.LN2 + 2 * s * (1 + tail)
}
