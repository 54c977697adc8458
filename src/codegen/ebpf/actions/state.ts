import type { MapSpec } from '../../../ebpf/index.js'

/** Array of one value: what is one for the whole policy, laid out by STATE. */
export const POLICY_STATE = 'policy_state'

/** Byte offsets of 64-bit words. */
export const STATE = {
  /** Secret start of the hash of limit keys, written before the program runs. */
  seed: 0,
  /** Samples that found the ring buffer full. */
  samplesLost: 8,
  /** Packets whose key found the limit table full. */
  tableFull: 16,
} as const

/** The map of the state; it is kept while programs are swapped. */
export const STATE_MAP: MapSpec = { name: POLICY_STATE, kind: 'array', keyBytes: 4, valueBytes: 24, maxEntries: 1 }
