import { InputError } from './output.js'

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const SHORTEST_MS = 1000
/** What setTimeout can wait at most; above it fires at once. */
const LONGEST_MS = 2 ** 31 - 1

/** `30s`, `10m`, `1h`, `2d` in milliseconds, from one second on. Throws InputError. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text)
  const milliseconds = match === null ? 0 : Number(match[1]) * UNIT_MS[match[2]!]!
  if (milliseconds < SHORTEST_MS || milliseconds > LONGEST_MS) {
    throw new InputError(`"${text}" is no duration from 1 second to 24 days; write it as 30s, 10m or 1h`)
  }
  return Math.round(milliseconds)
}

/** `90000` as `1m 30s`. */
export function formatDuration(milliseconds: number): string {
  const parts: string[] = []
  let rest = Math.round(milliseconds / 1000)
  for (const unit of ['d', 'h', 'm', 's']) {
    const seconds = UNIT_MS[unit]! / 1000
    const count = Math.floor(rest / seconds)
    rest -= count * seconds
    if (count > 0) parts.push(`${count}${unit}`)
  }
  return parts.length === 0 ? '0s' : parts.join(' ')
}
