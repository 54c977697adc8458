/**
 * What a packet device keeps in linear memory, for TypeScript and AssemblyScript
 * alike; offsets in bytes, u32 each: where its blocks are; bytes 12 to 23 are
 * the loop's own (packet.as.ts).
 */
export const PACKET_RING_AT = 0
export const PACKET_RING_BLOCKS = 4
export const PACKET_RING_BLOCK_BYTES = 8
/** A byte that is read into to clear an error. */
export const PACKET_RING_SCRATCH = 24
export const PACKET_RING_BYTES = 64
