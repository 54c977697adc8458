/** How an interface counts time: units since 1970 plus whole seconds. */
export interface TimestampRule {
  readonly unitsPerSecond: number
  readonly offsetSeconds: number
}

/** What holds for an interface without a timestamp option (pcapng, section 4.2). */
export const MICROSECONDS: TimestampRule = { unitsPerSecond: 1e6, offsetSeconds: 0 }

const END_OF_OPTIONS = 0
const TIMESTAMP_RESOLUTION = 9
const TIMESTAMP_OFFSET = 14

const HALF_WORD = 2 ** 16
const NANOSECONDS_PER_SECOND = 1e9

/**
 * The timestamp options of an interface description between `at` and `end`:
 * u16 code, u16 length, value padded to 4 bytes. A string says what is wrong.
 */
export function readTimestampOptions(
  view: DataView,
  at: number,
  end: number,
  littleEndian: boolean,
): TimestampRule | string {
  let { unitsPerSecond, offsetSeconds } = MICROSECONDS
  while (at < end) {
    if (end - at < 4) return 'an option of an interface is cut off'
    const code = view.getUint16(at, littleEndian)
    const length = view.getUint16(at + 2, littleEndian)
    const value = at + 4
    at = value + ((length + 3) & ~3)
    if (at > end) return 'an option of an interface is longer than its block'
    if (code === END_OF_OPTIONS) break
    if (code === TIMESTAMP_RESOLUTION) {
      const exponent = length === 1 ? view.getUint8(value) : 255
      // 2^-63 and 10^-19 are the finest that a 64-bit count can hold a second of.
      if ((exponent & 0x7f) > (exponent & 0x80 ? 63 : 19)) return 'an interface has no valid timestamp resolution'
      unitsPerSecond = (exponent & 0x80 ? 2 : 10) ** (exponent & 0x7f)
    }
    if (code === TIMESTAMP_OFFSET) {
      if (length !== 8) return 'an interface has no valid timestamp offset'
      offsetSeconds = Number(view.getBigInt64(value, littleEndian))
    }
  }
  return { unitsPerSecond, offsetSeconds }
}

/**
 * A 64-bit count of units as seconds and nanoseconds. Counts of nanoseconds
 * pass 2^53, so the division goes 16 bits at a time, which stays exact.
 */
export function timestampOf(rule: TimestampRule, high: number, low: number): { seconds: number; nanoseconds: number } {
  const { unitsPerSecond, offsetSeconds } = rule
  if (NANOSECONDS_PER_SECOND % unitsPerSecond !== 0) return unusualTimestamp(rule, high, low)
  const quotient = Math.floor(high / unitsPerSecond)
  const upper = (high - quotient * unitsPerSecond) * HALF_WORD + (low >>> 16)
  const upperQuotient = Math.floor(upper / unitsPerSecond)
  const lower = (upper - upperQuotient * unitsPerSecond) * HALF_WORD + (low & (HALF_WORD - 1))
  const lowerQuotient = Math.floor(lower / unitsPerSecond)
  return {
    seconds: (quotient * HALF_WORD + upperQuotient) * HALF_WORD + lowerQuotient + offsetSeconds,
    nanoseconds: (lower - lowerQuotient * unitsPerSecond) * (NANOSECONDS_PER_SECOND / unitsPerSecond),
  }
}

/** Picoseconds and most powers of two are rare: here BigInt's cost does not matter. */
function unusualTimestamp({ unitsPerSecond, offsetSeconds }: TimestampRule, high: number, low: number) {
  const perSecond = BigInt(unitsPerSecond)
  const units = (BigInt(high) << 32n) | BigInt(low)
  return {
    seconds: Number(units / perSecond) + offsetSeconds,
    nanoseconds: Number(((units % perSecond) * 1_000_000_000n) / perSecond),
  }
}
