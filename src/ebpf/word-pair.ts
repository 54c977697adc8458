/**
 * 64-bit multiplication and division on registers that are held as two Int32
 * words, `lo[n]` and `hi[n]`. Each function writes its result to register `dst`.
 */

/** `dst *= src`, modulo 2^64. */
export function multiply64(lo: Int32Array, hi: Int32Array, dst: number, src: number): void {
  const a = lo[dst]
  const b = lo[src]
  const cross = Math.imul(hi[dst], b) + Math.imul(a, hi[src])
  lo[dst] = Math.imul(a, b)
  hi[dst] = (highProduct(a, b) + cross) | 0
}

/** `dst /= src` or `dst %= src`, unsigned; the divisor must not be zero. */
export function divide64(lo: Int32Array, hi: Int32Array, dst: number, src: number, wantRemainder: boolean): void {
  if (hi[dst] === 0 && hi[src] === 0) {
    const a = lo[dst] >>> 0
    const b = lo[src] >>> 0
    lo[dst] = wantRemainder ? a % b : a / b
    return
  }
  const result = longDivision(lo[dst], hi[dst], lo[src], hi[src], wantRemainder)
  lo[dst] = result
  hi[dst] = resultHigh
}

/**
 * The same, signed: truncated towards zero, the remainder with the sign of the
 * dividend; the least number divided by -1 is itself (RFC 9669, section 4.1).
 */
export function divideSigned64(lo: Int32Array, hi: Int32Array, dst: number, src: number, wantRemainder: boolean): void {
  const dividendNegative = hi[dst] < 0
  const divisorNegative = hi[src] < 0
  const dividendLow = dividendNegative ? -lo[dst] | 0 : lo[dst]
  const dividendHigh = dividendNegative ? negatedHigh(lo[dst], hi[dst]) : hi[dst]
  const divisorLow = divisorNegative ? -lo[src] | 0 : lo[src]
  const divisorHigh = divisorNegative ? negatedHigh(lo[src], hi[src]) : hi[src]
  const low = longDivision(dividendLow, dividendHigh, divisorLow, divisorHigh, wantRemainder)
  const negative = wantRemainder ? dividendNegative : dividendNegative !== divisorNegative
  lo[dst] = negative ? -low | 0 : low
  hi[dst] = negative ? negatedHigh(low, resultHigh) : resultHigh
}

/** High word of the negative of a pair. */
export function negatedHigh(low: number, high: number): number {
  return (~high + (low === 0 ? 1 : 0)) | 0
}

/** High word of the product of two unsigned words, from four products of halves. */
function highProduct(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const low = Math.imul(aLow, bLow) >>> 16
  const middle = (Math.imul(aHigh, bLow) >>> 0) + low
  const other = (Math.imul(aLow, bHigh) >>> 0) + (middle & 0xffff)
  return (Math.imul(aHigh, bHigh) + Math.floor(middle / 65536) + Math.floor(other / 65536)) | 0
}

/** High word of what longDivision returned last: a second return value without an object. */
let resultHigh = 0

/** Bit by bit, as on paper: rare enough that clarity wins. */
function longDivision(aLow: number, aHigh: number, bLow: number, bHigh: number, wantRemainder: boolean): number {
  let quotientLow = 0
  let quotientHigh = 0
  let low = 0
  let high = 0
  for (let bit = 63; bit >= 0; bit--) {
    const carry = high >>> 31
    high = (high << 1) | (low >>> 31)
    low = (low << 1) | (((bit > 31 ? aHigh : aLow) >>> (bit & 31)) & 1)
    if (carry === 0 && isBelow(low, high, bLow, bHigh)) continue
    high = (high - bHigh - (low >>> 0 < bLow >>> 0 ? 1 : 0)) | 0
    low = (low - bLow) | 0
    if (bit > 31) quotientHigh |= 1 << (bit & 31)
    else quotientLow |= 1 << bit
  }
  resultHigh = wantRemainder ? high : quotientHigh
  return wantRemainder ? low : quotientLow
}

function isBelow(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  return aHigh === bHigh ? aLow >>> 0 < bLow >>> 0 : aHigh >>> 0 < bHigh >>> 0
}
