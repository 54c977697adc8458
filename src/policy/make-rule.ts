import type { Action, Lifetime, LimitAction, Rate, Rule } from './policy.js'
import { DEVICE_NAME, isWithin, RANGES, RULE_NAME, rangeHint } from './ranges.js'
import { parseAmount, parseMoment, parseRate, parseSeconds } from './units.js'
import type { LimitOptions, RuleOptions, WrittenRule } from './written.js'

/** What is wrong with one option of a rule; `key` is the option. */
export class OptionError extends Error {
  override name = 'OptionError'

  constructor(
    readonly key: string,
    message: string,
  ) {
    super(message)
  }
}

/** The largest frame of plain Ethernet: a bucket that cannot hold one lets none of them pass, ever. */
const FULL_FRAME_BYTES = 1514
const LONGEST_REFILL_SECONDS = 365 * 86_400
const LONGEST_LIFETIME_SECONDS = 10 * 365 * 86_400
const DEFAULT_SAMPLE_BYTES = 128
/** A name taken from a longer match is cut here. */
const LONGEST_OWN_NAME = 80

/** The value of a rule as written. Throws OptionError where its options contradict each other or are none. */
export function makeRule(written: WrittenRule): Rule {
  const { match, mode = 'enforce' } = written
  if (written.name !== undefined && !RULE_NAME.test(written.name))
    throw new OptionError('name', 'a name has 1 to 200 printable characters and no space at its ends; write such a one')
  const action = makeAction(written)
  return { name: written.name ?? ownName(written), match, action, mode, lifetime: makeLifetime(written) }
}

function ownName({ action, match }: WrittenRule): string {
  const text = `${action} ${match.replace(/\s+/g, ' ').trim()}`.trim()
  return text.length > LONGEST_OWN_NAME ? `${text.slice(0, LONGEST_OWN_NAME - 1)}…` : text
}

function makeAction(written: WrittenRule): Action {
  switch (written.action) {
    case 'limit':
      return makeLimit(written)
    case 'sample':
      return {
        kind: 'sample',
        oneIn: whole('oneIn', written.oneIn),
        bytes: whole('bytes', written.bytes ?? DEFAULT_SAMPLE_BYTES),
      }
    case 'steer':
      return { kind: 'steer', cpu: whole('cpu', written.cpu) }
    case 'forward':
      if (!DEVICE_NAME.test(written.device))
        throw new OptionError('device', `"${written.device}" cannot be the name of a device; write one such as eth1`)
      return { kind: 'forward', device: written.device }
    case 'mark':
      return { kind: 'mark', value: whole('value', written.value) }
    default:
      return { kind: written.action }
  }
}

function whole(key: keyof typeof RANGES, value: number): number {
  if (isWithin(value, RANGES[key])) return value
  throw new OptionError(key, `${key} is ${value}; ${rangeHint(RANGES[key])}`)
}

function makeLimit({ per, rate: text, burst: wanted, prefix }: LimitOptions): LimitAction {
  const rate = makeRate(text)
  const common = { kind: 'limit', rate, burst: makeBurst(rate, wanted) } as const
  if (per === 'source-prefix') {
    if (prefix === undefined)
      throw new OptionError('per', 'per source-prefix needs the lengths; write prefix: { v4: 24, v6: 56 }')
    return { ...common, per, prefix: { v4: whole('v4', prefix.v4), v6: whole('v6', prefix.v6) } }
  }
  if (prefix !== undefined)
    throw new OptionError('prefix', `prefix has no meaning with per ${per}; remove it, or write per: source-prefix`)
  return { ...common, per }
}

function makeRate(text: string): Rate {
  const rate = parseRate(text)
  if (rate === null)
    throw new OptionError('rate', `"${text}" is no rate; write one such as 1000 pps, 10 Mbit/s or 5 MB/s`)
  const { unit, perSecond } = rate
  if (perSecond === 0) throw new OptionError('rate', 'a rate of 0 lets nothing pass; write action: drop')
  if (!isWithin(perSecond, RANGES.perSecond))
    throw new OptionError('rate', `"${text}" is ${perSecond} ${unit} a second; ${rangeHint(RANGES.perSecond)}`)
  return rate
}

function makeBurst({ unit, perSecond }: Rate, wanted: number | string | undefined): number {
  const least = unit === 'bytes' ? FULL_FRAME_BYTES : 1
  if (wanted === undefined) return Math.max(perSecond, least)
  const burst = typeof wanted === 'number' ? { unit, amount: wanted } : parseAmount(wanted)
  if (burst === null)
    throw new OptionError('burst', `"${wanted}" is no burst; write a number, or one such as 2000 packets or 64 kB`)
  if (burst.unit !== unit)
    throw new OptionError('burst', `the burst is in ${burst.unit} and the rate in ${unit}; write both in one unit`)
  if (burst.amount < least) {
    const why = unit === 'bytes' ? `no frame of ${FULL_FRAME_BYTES} bytes would ever pass` : 'nothing would ever pass'
    throw new OptionError('burst', `with a burst of ${burst.amount} ${unit} ${why}; write at least ${least}`)
  }
  if (!isWithin(burst.amount, RANGES.burst))
    throw new OptionError('burst', `the burst is ${burst.amount} ${unit}; ${rangeHint(RANGES.burst)}`)
  const most = perSecond * LONGEST_REFILL_SECONDS
  if (burst.amount > most) {
    const message = `a burst of ${burst.amount} ${unit} would take more than a year to come back; write at most ${most}`
    throw new OptionError('burst', message)
  }
  return burst.amount
}

function makeLifetime({ for: span, until }: RuleOptions): Lifetime | null {
  if (span !== undefined && until !== undefined)
    throw new OptionError('until', 'for and until contradict each other; write one of them')
  if (span !== undefined) {
    const seconds = parseSeconds(span)
    if (seconds === null || !Number.isInteger(seconds) || seconds < 1 || seconds > LONGEST_LIFETIME_SECONDS)
      throw new OptionError('for', `"${span}" is no time from 1 second to 10 years; write it as 30s, 10m, 1h or 2d`)
    return { kind: 'for', seconds }
  }
  if (until === undefined) return null
  const unixSeconds = parseMoment(until)
  if (unixSeconds === null)
    throw new OptionError('until', `"${until}" is no moment; write it with its zone, as 2026-12-01T08:00:00Z`)
  return { kind: 'until', unixSeconds }
}
