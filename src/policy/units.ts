import type { Rate } from './policy.js'

const RATE_UNITS: Readonly<Record<string, Rate>> = {
  pps: { unit: 'packets', perSecond: 1 },
  kpps: { unit: 'packets', perSecond: 1e3 },
  Mpps: { unit: 'packets', perSecond: 1e6 },
  'bit/s': { unit: 'bytes', perSecond: 1 / 8 },
  'kbit/s': { unit: 'bytes', perSecond: 1e3 / 8 },
  'Mbit/s': { unit: 'bytes', perSecond: 1e6 / 8 },
  'Gbit/s': { unit: 'bytes', perSecond: 1e9 / 8 },
  'B/s': { unit: 'bytes', perSecond: 1 },
  'kB/s': { unit: 'bytes', perSecond: 1e3 },
  'MB/s': { unit: 'bytes', perSecond: 1e6 },
  'GB/s': { unit: 'bytes', perSecond: 1e9 },
}

const AMOUNT_UNITS: Readonly<Record<string, { readonly unit: Rate['unit']; readonly factor: number }>> = {
  packets: { unit: 'packets', factor: 1 },
  B: { unit: 'bytes', factor: 1 },
  kB: { unit: 'bytes', factor: 1e3 },
  MB: { unit: 'bytes', factor: 1e6 },
  KiB: { unit: 'bytes', factor: 2 ** 10 },
  MiB: { unit: 'bytes', factor: 2 ** 20 },
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

const NUMBER = '\\d{1,15}(?:\\.\\d{1,9})?'

/** `1000 pps`, `2.5 kpps`, `10 Mbit/s`, `5 MB/s`. */
export const RATE_PATTERN = new RegExp(`^(${NUMBER}) ?(${Object.keys(RATE_UNITS).join('|')})$`)

/** `2000 packets`, `64 kB`, `1 MiB`. */
export const AMOUNT_PATTERN = new RegExp(`^(${NUMBER}) ?(${Object.keys(AMOUNT_UNITS).join('|')})$`)

/** `30s`, `10m`, `1.5h`, `2d`. */
export const DURATION_PATTERN = new RegExp(`^(${NUMBER})(${Object.keys(SECONDS).join('|')})$`)

/** A date and time with its zone (RFC 3339, section 5.6). */
export const MOMENT_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/** The rate that the text names, not judged yet; null where it is none. */
export function parseRate(text: string): Rate | null {
  const match = RATE_PATTERN.exec(text)
  if (match === null) return null
  const { unit, perSecond } = RATE_UNITS[match[2]!]!
  return { unit, perSecond: Number(match[1]) * perSecond }
}

/** Packets or bytes as the text says; null where it does not. */
export function parseAmount(text: string): { readonly unit: Rate['unit']; readonly amount: number } | null {
  const match = AMOUNT_PATTERN.exec(text)
  if (match === null) return null
  const { unit, factor } = AMOUNT_UNITS[match[2]!]!
  return { unit, amount: Number(match[1]) * factor }
}

/** Seconds; null where the text is no duration. */
export function parseSeconds(text: string): number | null {
  const match = DURATION_PATTERN.exec(text)
  return match === null ? null : Number(match[1]) * SECONDS[match[2]!]!
}

/** Seconds since 1970, rounded down; null where the text is no moment. */
export function parseMoment(text: string): number | null {
  const milliseconds = MOMENT_PATTERN.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(milliseconds) ? null : Math.floor(milliseconds / 1000)
}

/** The rate as `parseRate` takes it. */
export function formatRate({ unit, perSecond }: Rate): string {
  return `${perSecond} ${unit === 'packets' ? 'pps' : 'B/s'}`
}

/** Whole seconds as `parseSeconds` takes them, in the largest unit that they fill. */
export function formatSeconds(seconds: number): string {
  const unit = ['d', 'h', 'm'].find((name) => seconds % SECONDS[name]! === 0) ?? 's'
  return `${seconds / SECONDS[unit]!}${unit}`
}

/** The moment as `parseMoment` takes it, in UTC. */
export function formatMoment(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace('.000Z', 'Z')
}
