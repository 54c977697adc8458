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

const WORD = 2 ** 32

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
 * A 64-bit count of units as seconds and nanoseconds. Without BigInt: a count
 * of nanoseconds passes 2^53, so the division is made in two steps whose
 * intermediate values stay exact for the resolutions in use (10^-9 and coarser).
 */
export function timestampOf(rule: TimestampRule, high: number, low: number): { seconds: number; nanoseconds: number } {
  const { unitsPerSecond, offsetSeconds } = rule
  if (unitsPerSecond > 1e9) return fineTimestamp(rule, high, low)
  // high * 2^32 = (quotient * unitsPerSecond + remainder) * 2^32 / …: both parts below 2^53.
  const wordSeconds = Math.floor(WORD / unitsPerSecond)
  const wordRest = WORD - wordSeconds * unitsPerSecond
  const rest = high * wordRest + low
  const restSeconds = Math.floor(rest / unitsPerSecond)
  const units = rest - restSeconds * unitsPerSecond
  return {
    seconds: high * wordSeconds + restSeconds + offsetSeconds,
    nanoseconds: Math.floor((units * 1e9) / unitsPerSecond),
  }
}

/** Picoseconds and the like are rare: here BigInt's cost does not matter. */
function fineTimestamp({ unitsPerSecond, offsetSeconds }: TimestampRule, high: number, low: number) {
  const perSecond = BigInt(unitsPerSecond)
  const units = (BigInt(high) << 32n) | BigInt(low)
  return {
    seconds: Number(units / perSecond) + offsetSeconds,
    nanoseconds: Number(((units % perSecond) * 1_000_000_000n) / perSecond),
  }
}
