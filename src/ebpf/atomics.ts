import { ATOMIC } from './opcodes.js'

/** Which register of a compare-and-exchange holds what is expected, and takes what was there. */
const EXPECTED = 0

/** One atomic operation on the aligned 32-bit word at `at`; old values are zero-extended (RFC 9669, section 5.3). */
export function atomic32(
  view: DataView,
  lo: Int32Array,
  hi: Int32Array,
  at: number,
  src: number,
  operation: number,
): void {
  const old = view.getInt32(at, true)
  const value = lo[src]
  if (operation === ATOMIC.cmpxchg) {
    if (old === lo[EXPECTED]) view.setInt32(at, value, true)
    lo[EXPECTED] = old
    hi[EXPECTED] = 0
    return
  }
  view.setInt32(at, combined(operation, old, value), true)
  if (!(operation & 1)) return
  lo[src] = old
  hi[src] = 0
}

/** The same on the aligned 64-bit word at `at`. */
export function atomic64(
  view: DataView,
  lo: Int32Array,
  hi: Int32Array,
  at: number,
  src: number,
  operation: number,
): void {
  const oldLow = view.getInt32(at, true)
  const oldHigh = view.getInt32(at + 4, true)
  let result = src
  if (operation === ATOMIC.cmpxchg) {
    const isExpected = oldLow === lo[EXPECTED] && oldHigh === hi[EXPECTED]
    view.setInt32(at, isExpected ? lo[src] : oldLow, true)
    view.setInt32(at + 4, isExpected ? hi[src] : oldHigh, true)
    result = EXPECTED
  } else {
    const low = combined(operation, oldLow, lo[src])
    const isSum = (operation & 0xf0) === ATOMIC.add
    const carry = isSum && low >>> 0 < oldLow >>> 0 ? 1 : 0
    view.setInt32(at, low, true)
    view.setInt32(at + 4, combined(operation, oldHigh, hi[src]) + carry, true)
  }
  if (!(operation & 1)) return
  lo[result] = oldLow
  hi[result] = oldHigh
}

function combined(operation: number, old: number, value: number): number {
  switch (operation & 0xf0) {
    case ATOMIC.add:
      return (old + value) | 0
    case ATOMIC.or:
      return old | value
    case ATOMIC.and:
      return old & value
    case ATOMIC.xor:
      return old ^ value
    default:
      return value
  }
}
