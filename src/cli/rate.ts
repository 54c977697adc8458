import { InputError } from './output.js'

const FACTORS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6 }
const LARGEST = 2 ** 32 - 1

/** `1000`, `50k`, `1.5M` as a whole number from 1 on. Throws InputError. */
export function parseCount(text: string): number {
  return parseCountUpTo(LARGEST, text)
}

/** The same, up to `most`. */
export function parseCountUpTo(most: number, text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kM]?)$/.exec(text)
  const exact = match === null ? 0 : Number(match[1]) * FACTORS[match[2]!]!
  const value = Math.round(exact)
  // 1.1k is a little more than 1100 to a computer, and 1.5 is no number of anything.
  if (value >= 1 && value <= most && Math.abs(exact - value) < 1e-6 * value) return value
  throw new InputError(`"${text}" is no count from 1 to ${most}; write it as 1000, 50k or 1.5M`)
}

/** Packets a second, `max` for as fast as it goes, which is infinite. Throws InputError. */
export function parseRate(text: string): number {
  if (text === 'max') return Number.POSITIVE_INFINITY
  const match = /^(\d+(?:\.\d+)?)([kM]?)$/.exec(text)
  const value = match === null ? 0 : Number(match[1]) * FACTORS[match[2]!]!
  if (value > 0 && value <= 1e9) return value
  throw new InputError(`"${text}" is no rate in packets a second; write it as 1000, 50k, 1.5M or max`)
}

/** Bits a second: `10M`, `1.5G`. Throws InputError. */
export function parseBitRate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kMG]?)$/.exec(text)
  const value = match === null ? 0 : Number(match[1]) * (match[2] === 'G' ? 1e9 : FACTORS[match[2]!]!)
  if (value >= 1000 && value <= 1e12) return value
  throw new InputError(`"${text}" is no rate from 1000 bits a second on; write it as 500k, 10M or 1.5G`)
}
