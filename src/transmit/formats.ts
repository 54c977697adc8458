/**
 * What the words of this room mean, for TypeScript and AssemblyScript alike, as
 * memory/formats.ts: nothing but numbers. Offsets are in bytes.
 */

/**
 * A queue with several producers and one consumer. Indices count packets, u64,
 * so that none ever comes again, on cache lines of their own: up to where
 * producers have reserved, up to where the consumer has taken, and what it has
 * told producers of that. Slots are descriptors; behind them stands a mark for
 * each, u64: the index from which on packets were published there, and how
 * many, in the lower bits. A mark of another index is an old one.
 * (shared-layout.inline.as.ts has what only AssemblyScript reads.)
 */
export const SHARED_RESERVED = 0
export const SHARED_TAKEN = 128
export const SHARED_MASK = 256
export const SHARED_SLOTS = 320
export const SHARED_MARK_BYTES = 8
export const SHARED_COUNT_BITS = 9

/**
 * What one producer, or the consumer, keeps for itself: the other side's index
 * as last seen, and counters, f64 each, of the atomic operations that it has
 * made (by the checked build alone) and of the times it has slept for the lock. SEEN is u64.
 */
export const SIDE_LOADS = 8
export const SIDE_STORES = 16
export const SIDE_EXCHANGES = 24
export const SIDE_SLEEPS = 32
export const SIDE_BYTES = 64
