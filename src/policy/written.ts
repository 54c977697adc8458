import type {
  ActionKind,
  LimitScope,
  Mode,
  Policy,
  PrefixLengths,
  Rule,
  SetSource,
  TableSettings,
  WhenFull,
} from './policy.js'
import { formatMoment, formatRate, formatSeconds } from './units.js'

/** A policy as a file says it, and as options of the builders: with units, and without what is usual. */
export interface WrittenPolicy {
  readonly sets?: Readonly<Record<string, SetSource>> | undefined
  readonly tables?: WrittenTables | undefined
  readonly rules: readonly WrittenRule[]
}

/** Sizes of tables; what is left out is as in `DEFAULT_TABLES`. */
export interface WrittenTables {
  readonly limits?: { readonly entries?: number | undefined; readonly whenFull?: WhenFull | undefined } | undefined
  readonly samples?: { readonly bytes?: number | undefined } | undefined
}

/** What every rule can have beside its match and its action. */
export interface RuleOptions {
  /** The action and the match where nothing is said. */
  readonly name?: string | undefined
  readonly mode?: Mode | undefined
  /** How long the rule is in force from when it is loaded: `10m`, `1.5h`. */
  readonly for?: string | undefined
  /** When it ends: `2026-12-01T08:00:00Z`. */
  readonly until?: string | undefined
}

export interface LimitOptions extends RuleOptions {
  readonly per: LimitScope
  /** `1000 pps`, `10 Mbit/s`, `5 MB/s`. */
  readonly rate: string
  /** A number in the unit of the rate, or with its own: `2000`, `64 kB`. What the rate allows in a second where nothing is said. */
  readonly burst?: number | string | undefined
  /** Only and always with `per: 'source-prefix'`. */
  readonly prefix?: PrefixLengths | undefined
}

export interface SampleOptions extends RuleOptions {
  readonly oneIn: number
  /** How much of the packet; 128 where nothing is said. */
  readonly bytes?: number | undefined
}

export interface SteerOptions extends RuleOptions {
  readonly cpu: number
}

export interface ForwardOptions extends RuleOptions {
  readonly device: string
}

export interface MarkOptions extends RuleOptions {
  readonly value: number
}

/** One rule with its action and the action's own options side by side. */
export type WrittenRule = { readonly match: string } & (
  | ({ readonly action: PlainAction } & RuleOptions)
  | ({ readonly action: 'limit' } & LimitOptions)
  | ({ readonly action: 'sample' } & SampleOptions)
  | ({ readonly action: 'steer' } & SteerOptions)
  | ({ readonly action: 'forward' } & ForwardOptions)
  | ({ readonly action: 'mark' } & MarkOptions)
)

/** The actions that have no options of their own. */
export type PlainAction = Exclude<ActionKind, 'limit' | 'sample' | 'steer' | 'forward' | 'mark'>

/** The policy as a file would say it, so that reading it gives the same value. */
export function writePolicy({ rules, sets, tables }: Policy): WrittenPolicy & { readonly tables: TableSettings } {
  return { sets, tables, rules: rules.map(writeRule) }
}

function writeRule({ name, match, action, mode, lifetime }: Rule): WrittenRule {
  const options: RuleOptions = {
    ...(mode === 'enforce' ? {} : { mode }),
    ...(lifetime === null
      ? {}
      : lifetime.kind === 'for'
        ? { for: formatSeconds(lifetime.seconds) }
        : { until: formatMoment(lifetime.unixSeconds) }),
  }
  switch (action.kind) {
    case 'limit': {
      const { kind, rate, burst, ...scope } = action
      return { name, match, action: kind, ...scope, rate: formatRate(rate), burst, ...options }
    }
    case 'sample':
    case 'steer':
    case 'forward':
    case 'mark': {
      const { kind, ...settings } = action
      return { name, match, action: kind, ...settings, ...options } as WrittenRule
    }
    default:
      return { name, match, action: action.kind, ...options }
  }
}
