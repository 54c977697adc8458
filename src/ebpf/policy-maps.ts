import type { Program } from './program.js'

/**
 * What the program of a policy and those who load it and read it agree on:
 * names and layouts of its maps. All numbers are in host order.
 */

/**
 * Per-CPU array: key u32 slot, value four u64: packets and bytes that the rule
 * matched, then packets and bytes of them that were over its limit.
 */
export const POLICY_COUNTERS = 'rule_counters'
export const COUNTER_BYTES = 32

/**
 * Array: key u32 slot, value u64: when the rule ends, in nanoseconds since boot
 * with sleep counted (CLOCK_BOOTTIME); 0: never. Written while the program runs.
 */
export const RULE_ENDS = 'rule_ends'

/** Array of one value: one bucket for each slot, for limits by rule and for all keys that find the table full. */
export const RULE_BUCKETS = 'rule_buckets'

/** Array of one value: what is one for the whole policy, laid out by STATE. */
export const POLICY_STATE = 'policy_state'

/** Byte offsets of the state's 64-bit words. */
export const STATE = {
  /** Secret start of the hash of limit keys, written before the program runs. */
  seed: 0,
  /** Samples that found the ring buffer full. */
  samplesLost: 8,
  /** Packets whose key found the limit table full. */
  tableFull: 16,
  /** Diverted packets whose receive queue had no socket, where those are dropped. */
  withoutSocket: 24,
  size: 32,
} as const

/** Ring buffer of samples; each begins with SAMPLE_HEADER. */
export const SAMPLES = 'samples'

/** Offsets in a sample: u64 nanoseconds (CLOCK_MONOTONIC), u32 each for the others, then the bytes. */
export const SAMPLE_HEADER = { timeNs: 0, slot: 8, wireLength: 12, captured: 16, bytes: 24 } as const

/** XSKMAP: key u32 receive queue, value an AF_XDP socket, which the kernel takes out when it is closed. */
export const DIVERT_SOCKETS = 'divert_sockets'

/** PROG_ARRAY: key u32 place among the devices of PolicyOptions.behind, value the program that goes on with what passes there. */
export const BEHIND_PROGRAMS = 'behind_programs'

/** An element that a map has to hold before the program runs; key and value are u32. */
export interface MapEntry {
  readonly map: string
  readonly key: number
  readonly value: number
}

/** A program with what its maps have to hold, and which of them outlive it. */
export interface PolicyProgram extends Program {
  readonly entries: readonly MapEntry[]
  /** Maps that a program which takes this one's place goes on with, where their shape is the same. */
  readonly kept: readonly string[]
}
