import { checkPolicy, type PolicyOptions } from './check.js'
import { PolicyError } from './error.js'
import { makeRule, OptionError } from './make-rule.js'
import { DEFAULT_TABLES, type Policy, type Rule, type SetSource, type TableSettings } from './policy.js'
import type {
  ForwardOptions,
  LimitOptions,
  MarkOptions,
  RuleOptions,
  SampleOptions,
  SteerOptions,
  WrittenRule,
  WrittenTables,
} from './written.js'

/** What a policy can have beside its rules. */
export interface PolicySettings extends PolicyOptions {
  readonly sets?: Readonly<Record<string, SetSource>>
  readonly tables?: WrittenTables
}

/**
 * A policy of rules in their order, with named sets and table sizes in front
 * where there are any. Throws PolicyError with everything that is wrong.
 *
 *     policy(
 *       { sets: { blocked: { file: 'blocked.txt' } } },
 *       drop('src net @blocked'),
 *       limit('tcp[tcpflags] == tcp-syn', { per: 'source', rate: '1000 pps', burst: 2000 }),
 *     )
 */
export function policy(...rules: readonly Rule[]): Policy
export function policy(settings: PolicySettings, ...rules: readonly Rule[]): Policy
export function policy(first?: PolicySettings | Rule, ...rest: readonly Rule[]): Policy {
  const hasSettings = first !== undefined && !('match' in first)
  const settings = hasSettings ? first : {}
  const rules = first === undefined || hasSettings ? rest : [first, ...rest]
  const value = { rules, sets: settings.sets ?? {}, tables: fillTables(settings.tables) }
  const faults = checkPolicy(value, settings)
  if (faults.length > 0) throw new PolicyError(faults)
  return value
}

/** The tables, with the usual sizes where nothing is said. */
export function fillTables({ limits, samples }: WrittenTables = {}): TableSettings {
  return {
    limits: {
      entries: limits?.entries ?? DEFAULT_TABLES.limits.entries,
      whenFull: limits?.whenFull ?? DEFAULT_TABLES.limits.whenFull,
    },
    samples: { bytes: samples?.bytes ?? DEFAULT_TABLES.samples.bytes },
  }
}

/** Packets that match go on to the kernel's network stack, and no later rule sees them. */
export function pass(match: string, options: RuleOptions = {}): Rule {
  return built({ ...options, action: 'pass', match })
}

/** Packets that match are dropped in the driver. */
export function drop(match: string, options: RuleOptions = {}): Rule {
  return built({ ...options, action: 'drop', match })
}

/** Packets that match are counted, and the next rule sees them. */
export function count(match: string, options: RuleOptions = {}): Rule {
  return built({ ...options, action: 'count', match })
}

/** Packets that match go to user space through an AF_XDP socket. */
export function divert(match: string, options: RuleOptions = {}): Rule {
  return built({ ...options, action: 'divert', match })
}

/** Packets that match pass up to a rate, by a token bucket; those beyond it are dropped. */
export function limit(match: string, options: LimitOptions): Rule {
  return built({ ...options, action: 'limit', match })
}

/** The first bytes of one in so many packets that match go to a ring buffer; the next rule sees all of them. */
export function sample(match: string, options: SampleOptions): Rule {
  return built({ ...options, action: 'sample', match })
}

/** The kernel's network stack handles packets that match on the given CPU. */
export function steer(match: string, options: SteerOptions): Rule {
  return built({ ...options, action: 'steer', match })
}

/** Packets that match leave through another device. */
export function forward(match: string, options: ForwardOptions): Rule {
  return built({ ...options, action: 'forward', match })
}

/** Packets that match carry a 32-bit number from here on, and the next rule sees them. */
export function mark(match: string, options: MarkOptions): Rule {
  return built({ ...options, action: 'mark', match })
}

function built(written: WrittenRule): Rule {
  try {
    return makeRule(written)
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    throw new PolicyError(
      [{ path: [error.key], message: error.message }],
      () => `${written.action}('${written.match}')`,
    )
  }
}
