/**
 * What GRO keeps in its memory, in bytes; counters, the size of all and the
 * slots stand in `offload-state.ts`, which TypeScript reads too.
 *
 *     0     u32   the next descriptor of the bundle to look at, and where they end (`engine/pending.inline.as.ts`)
 *     8     u32   how many places of the order are taken
 *     16    f64   packets that were appended to another, and packets that several were made of
 *     64          the packet that is looked at, as an entry
 *     128   u32   of each slot: the hash of the flow that it holds, or 0
 *     384         the slots: eight buckets of eight entries
 *     4480  u8    the order in which slots were filled: slot + 1, or 0 where that one has left
 *     5504        room for one frame, as a bundle
 *     5568        the bundle's descriptors
 */
export const GRO_ORDER_COUNT = 8
export const GRO_INCOMING = 64
export const GRO_ORDER = 4480
export const GRO_ORDER_PLACES = 1024
export const GRO_FRAME = 5504
export const GRO_PENDING = 5568

/** As the kernel: eight buckets of at most eight flows; one more, and the oldest of the bucket goes. */
export const GRO_BUCKETS = 8
export const GRO_BUCKET_SLOTS = 8

/** A packet that may grow: its descriptor first. */
export const ENTRY_HASH = 16
/** Kind and place of the transport header, as the bits of a descriptor's flags. */
export const ENTRY_OFFLOAD = 20
/** Where the network header and the payload begin, from the packet's first byte. */
export const ENTRY_NETWORK = 24
export const ENTRY_PAYLOAD = 28
/** Payload bytes of the first packet, which are those of every segment but the last. */
export const ENTRY_SEGMENT = 32
/** TCP: the sequence number of what would follow. */
export const ENTRY_NEXT_SEQUENCE = 36
/** Packets that it was made of. */
export const ENTRY_COUNT = 40
/** Bytes that the packet may have in its frame; 0 until it lies in one of 64 KiB. */
export const ENTRY_ROOM = 44
/** Its place in the order. */
export const ENTRY_PLACE = 48
/** u8: all packets so far have the same IPv4 identification. */
export const ENTRY_FIXED_ID = 52
/** u8: the network header says that it can neither be appended nor wait for others. */
export const ENTRY_ALONE = 53
