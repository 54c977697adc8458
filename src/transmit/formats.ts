/**
 * What the words of this room mean, for TypeScript and AssemblyScript alike, as
 * memory/formats.ts: nothing but numbers. Offsets are in bytes, words are u32
 * where nothing is said, times f64 in microseconds. What only AssemblyScript
 * reads stands in files named *-layout.inline.as.ts.
 */

/**
 * A queue with several producers and one consumer. Indices count packets, u64,
 * so that none ever comes again, on cache lines of their own: up to where
 * producers have reserved, up to where the consumer has taken, and what it has
 * told producers of that. Slots are descriptors; behind them stands a mark for
 * each, u64: the index from which on packets were published there, and how
 * many, in the lower bits. A mark of another index is an old one. The bell is
 * that of engine/bell.ts, at which the consumer sleeps.
 */
export const SHARED_RESERVED = 0
export const SHARED_TAKEN = 128
export const SHARED_MASK = 256
export const SHARED_BELL = 320
export const SHARED_SLOTS = 384
export const SHARED_MARK_BYTES = 8
export const SHARED_COUNT_BITS = 9

/**
 * What one producer, or the consumer, keeps for itself: the other side's index
 * as last seen, u64, and counters, f64 each, of the atomic operations that it
 * has made (by the checked build alone) and of the times it has slept for the lock.
 */
export const SIDE_LOADS = 8
export const SIDE_STORES = 16
export const SIDE_EXCHANGES = 24
export const SIDE_SLEEPS = 32
export const SIDE_BYTES = 64

/**
 * What stands before a device: the pool, the discipline at the root, counters of
 * drops by reason (f64 each), packets and bytes that wait, the time before which
 * nothing more is let out, packets that were marked instead of dropped (f64), a ring of the
 * lengths of those that the device has (address, entries less 1, both indices),
 * and the byte limit.
 */
export const QUEUE_POOL = 0
export const QUEUE_ROOT = 4
export const QUEUE_DROPS = 8
export const QUEUE_PACKETS = 12
export const QUEUE_BYTES = 16
export const QUEUE_DUE = 24
export const QUEUE_MARKED = 32
export const QUEUE_FLIGHT = 40
export const QUEUE_FLIGHT_MASK = 44
export const QUEUE_LIMIT = 64
export const QUEUE_STATE_BYTES = 128

/** A packet that waits: its descriptor, the next entry of its list (16), and since when (24). */
export const ENTRY_BYTES = 32

/**
 * The byte limit (QUEUE_LIMIT): whether there is one, the limit in bytes, and
 * between what it may move.
 */
export const LIMIT_IS_ON = 0
export const LIMIT_NOW = 4
export const LIMIT_LEAST = 8
export const LIMIT_MOST = 12
export const LIMIT_ALLOWED = 16

/** Disciplines: what they are, and what their settings are; lists are a first and a last entry. */
export const NODE_KIND = 0
export const KIND_FIFO = 1
export const KIND_PRIORITY = 2
export const KIND_TOKENS = 3
export const KIND_FQ_CODEL = 4

export const FIFO_MOST_PACKETS = 4
export const FIFO_MOST_BYTES = 8
export const FIFO_BYTES = 32

/** By what, 0 the class of service of the header, 1 the frame's mark; 64 bytes, the band of each; the bands, a node each. */
export const PRIORITY_BY = 4
export const PRIORITY_BANDS = 8
export const PRIORITY_MAP = 16
export const PRIORITY_NODES = 80
export const PRIORITY_MOST_BANDS = 8
export const PRIORITY_BYTES = 112

/** The discipline behind, bytes that are added to each packet's length; f64: tokens, since when, tokens a microsecond, and at most; u32: whether packets waited. */
export const TOKENS_INNER = 4
export const TOKENS_OVERHEAD = 8
export const TOKENS_NOW = 16
export const TOKENS_RATE = 32
export const TOKENS_MOST = 40
export const TOKENS_BYTES = 64

/** Flows and how many, what a flow may send in turn, bounds of all flows together, whether to mark, f64: target and interval. */
export const FQ_FLOWS = 4
export const FQ_FLOW_COUNT = 8
export const FQ_QUANTUM = 12
export const FQ_MOST_PACKETS = 16
export const FQ_MOST_BYTES = 20
export const FQ_MARKS = 24
export const FQ_TARGET = 32
export const FQ_INTERVAL = 40
export const FQ_BYTES = 80
export const FLOW_BYTES = 64
