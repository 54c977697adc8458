/**
 * What the words of the stage `errors` mean, for TypeScript and AssemblyScript
 * alike: both compile this file, so it may hold nothing but numbers. Offsets
 * are in bytes, all words little-endian.
 */

/**
 * What the stage is handed.
 *
 *     0    u32  address of the routing tables
 *     4    u32  of its reader's line
 *     8    u32  ports that the tables have
 *     12   u32  ERRORS_… bits
 *     16   u32  hops that an answer may make, and one for the `forward` behind
 *     20   u32  address of the drop counters, f64 each
 *     24   u32  of the buckets of targets
 *     28   u32  sets of these, less 1
 *     32   u32  chosen at random: which set a target is in
 *     36   u32  identification of the next IPv4 answer
 *     40   f64  now, in milliseconds
 *     48   f64  tokens that a target gets a millisecond
 *     56   f64  tokens that it has at most; infinite: nobody counts
 *     64        room for one frame, as a bundle
 *     96        a bucket for each kind of answer
 */
export const ERRORS_TABLES = 0
export const ERRORS_READER = 4
export const ERRORS_PORTS = 8
export const ERRORS_SETTINGS = 12
export const ERRORS_HOPS = 16
export const ERRORS_DROPS = 20
export const ERRORS_TARGETS = 24
export const ERRORS_SET_MASK = 28
export const ERRORS_SEED = 32
export const ERRORS_IDENTIFICATION = 36
export const ERRORS_NOW = 40
export const ERRORS_TARGET_RATE = 48
export const ERRORS_TARGET_BURST = 56
export const ERRORS_KINDS = 96
export const ERRORS_BYTES = 192
/** Answers come from the port that the packet came by, not from that which leads back to its source. */
export const ERRORS_FROM_INCOMING = 1

/** The bucket of a kind, f64 each: tokens a millisecond, tokens at most, tokens, and when it had them. */
export const KIND_RATE = 0
export const KIND_BURST = 8
export const KIND_TOKENS = 16
export const KIND_SINCE = 24
export const KIND_BYTES = 32

/** The bucket of a target; they stand in sets. */
export const TARGET_BYTES = 32
export const TARGETS_A_SET = 4
