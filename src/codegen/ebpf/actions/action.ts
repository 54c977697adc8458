/**
 * What a rule does with a packet that it matches, as the emitter needs it:
 * numbers where the policy has names and units.
 */
export type RuleAction =
  | { readonly kind: 'pass' | 'drop' | 'count' }
  /** To the AF_XDP socket of the packet's receive queue. */
  | { readonly kind: 'divert' }
  | LimitAction
  | SampleAction
  /** To the stack on another CPU. */
  | { readonly kind: 'steer'; readonly cpu: number }
  /** Out of another device. */
  | { readonly kind: 'forward'; readonly interfaceIndex: number }
  /** A 32-bit number in host order in the first four bytes of the frame's metadata (`data_meta`). */
  | { readonly kind: 'mark'; readonly value: number }

/** Passes what keeps within the rate and drops the rest; what shares a bucket says `key`. */
export interface LimitAction {
  readonly kind: 'limit'
  readonly key: LimitKey
  readonly unit: 'packets' | 'bytes'
  /** Units a second; any positive number. */
  readonly perSecond: number
  /** Units that may come at once, at least one packet's. */
  readonly burst: number
}

/** Packets of one key share a bucket; a prefix length is that of IPv4 and of IPv6 addresses. */
export type LimitKey = { readonly kind: 'rule' } | { readonly kind: 'flow' } | AddressKey

/** The first bits of an address; 32 and 128 are a whole one. */
export interface AddressKey {
  readonly kind: 'source' | 'destination'
  readonly ipv4Bits: number
  readonly ipv6Bits: number
}

/** One in `oneIn` packets, drawn by chance, goes to the ring buffer with its first `bytes`. */
export interface SampleAction {
  readonly kind: 'sample'
  readonly oneIn: number
  readonly bytes: number
}

/** A rule as the emitter takes it: where its state lies, and what it does. */
export interface RuleCode {
  /** Index of its counters, its end and its buckets; below `slots` of the layout. */
  readonly slot: number
  readonly action: RuleAction
  /** Counts what it would have done, and does nothing. */
  readonly isShadow: boolean
  /** Whether its end stands in the map `rule_ends`. */
  readonly hasEnd: boolean
}

/** True where the next rule may see a packet that this one matches: the list goes on behind it. */
export function goesOn({ action: { kind }, isShadow, hasEnd }: RuleCode): boolean {
  return isShadow || hasEnd || kind === 'count' || kind === 'sample' || kind === 'mark'
}
