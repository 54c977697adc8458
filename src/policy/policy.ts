/**
 * What an operator wants done with packets, as a plain value: it can be
 * compared, copied and written as JSON. Builders and files give the same one.
 *
 * The rules are tried in order. The first final one that matches decides, and
 * what none decides passes:
 *
 *     final                          not final: the list goes on behind it
 *     pass, drop, limit              count, sample, mark
 *     divert, steer, forward         every rule in mode `shadow`
 *
 * A `limit` is final either way: within the limit the packet passes, beyond it
 * the packet is dropped.
 */
export interface Policy {
  readonly rules: readonly Rule[]
  /** By the name that `net @name` uses. */
  readonly sets: Readonly<Record<string, SetSource>>
  readonly tables: TableSettings
}

export interface Rule {
  /** Unique in the policy; counters belong to it across changes of the policy. */
  readonly name: string
  /** A filter expression; an empty one matches every packet. */
  readonly match: string
  readonly action: Action
  /** `shadow`: only counts what it would have done. */
  readonly mode: Mode
  /** Null: until the policy is changed. */
  readonly lifetime: Lifetime | null
}

export type Mode = 'enforce' | 'shadow'

/** In force for so long from when it is loaded, or until a moment (seconds since 1970, UTC). */
export type Lifetime =
  | { readonly kind: 'for'; readonly seconds: number }
  | { readonly kind: 'until'; readonly unixSeconds: number }

export type Action =
  | { readonly kind: 'pass' | 'drop' | 'count' | 'divert' }
  | LimitAction
  | SampleAction
  | { readonly kind: 'steer'; readonly cpu: number }
  | { readonly kind: 'forward'; readonly device: string }
  | { readonly kind: 'mark'; readonly value: number }

export type ActionKind = Action['kind']

/**
 * A token bucket: `burst` packets or bytes at once, then `rate` a second. Each
 * source address, source prefix, destination address or flow has its own, or
 * all packets of the rule share one. What has no such field shares one as well.
 */
export type LimitAction = {
  readonly kind: 'limit'
  readonly rate: Rate
  /** In the unit of the rate. */
  readonly burst: number
} & (
  | { readonly per: 'rule' | 'source' | 'destination' | 'flow' }
  | { readonly per: 'source-prefix'; readonly prefix: PrefixLengths }
)

export type LimitScope = LimitAction['per']

/** How many leading bits of a source address name its bucket. */
export interface PrefixLengths {
  readonly v4: number
  readonly v6: number
}

/** Bytes are those of the frame, without preamble and checksum. */
export interface Rate {
  readonly unit: 'packets' | 'bytes'
  readonly perSecond: number
}

/** The first `bytes` of one packet in `oneIn`, on average, go to a ring buffer. */
export interface SampleAction {
  readonly kind: 'sample'
  readonly oneIn: number
  readonly bytes: number
}

/** Addresses and prefixes as text, or a file with one a line; a relative path counts from the policy's folder. */
export type SetSource = readonly string[] | { readonly file: string }

/** What the policy may keep in kernel memory, so that no flood can grow it. */
export interface TableSettings {
  readonly limits: {
    /** Buckets of all `limit` rules together, 16 bytes each: a power of two, at least 8. */
    readonly entries: number
    readonly whenFull: WhenFull
  }
  readonly samples: {
    /** Size of the ring buffer: a power of two, at least 4096. */
    readonly bytes: number
  }
}

/**
 * What a newcomer meets when every bucket is taken by someone else.
 * `share`: all newcomers share one bucket of the rule. `drop`: they are dropped.
 * `replace`: they take the bucket of someone who has used little of it and
 * starts anew with a full burst when it comes back; so a flood from more
 * sources than there are entries is not limited.
 */
export type WhenFull = 'share' | 'drop' | 'replace'

/** The tables of a policy that says nothing about them. */
export const DEFAULT_TABLES: TableSettings = {
  limits: { entries: 131_072, whenFull: 'share' },
  samples: { bytes: 1_048_576 },
}

const FINAL_ACTIONS: ReadonlySet<ActionKind> = new Set(['pass', 'drop', 'limit', 'divert', 'steer', 'forward'])

/** Whether the list ends with this rule for a packet that it matches. */
export function isFinal({ action, mode }: Pick<Rule, 'action' | 'mode'>): boolean {
  return mode === 'enforce' && FINAL_ACTIONS.has(action.kind)
}
