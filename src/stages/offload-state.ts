/**
 * What TypeScript needs to know of the memory of `gro` and `segment`. Both
 * languages compile this file, so it may hold nothing but numbers, in bytes:
 * the size of all, and where the counters stand, f64 each.
 */
export const GRO_BYTES = 9664
/** Packets that were appended to another, and packets that several were made of. */
export const GRO_APPENDED = 16
export const GRO_MADE = 24
/** u32 of each slot: the hash of the flow that it holds, or 0; then the slots, whose entries begin with a descriptor. */
export const GRO_HASHES = 128
export const GRO_ENTRIES = 384
export const GRO_SLOTS = 64
export const ENTRY_BYTES = 64

export const SEGMENT_BYTES = 4224
/** Packets that were cut, and packets that they became. */
export const SEGMENT_PACKETS = 16
export const SEGMENT_MADE = 24
