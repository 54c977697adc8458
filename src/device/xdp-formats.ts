/**
 * What an AF_XDP device keeps in linear memory, for TypeScript and
 * AssemblyScript alike; offsets in bytes. First its four rings:
 */
export const XDP_FILL = 0
export const XDP_COMPLETION = 32
export const XDP_RECEIVE = 64
export const XDP_TRANSMIT = 96

/** Of each ring, u32 each: addresses of both indices and of the first entry, and entries less 1. */
export const XDP_RING_PRODUCER = 0
export const XDP_RING_CONSUMER = 4
export const XDP_RING_ENTRIES = 8
export const XDP_RING_MASK = 12
/** The index that we publish, and what we last saw of the kernel's. */
export const XDP_RING_INDEX = 16
export const XDP_RING_SEEN = 20

/** The worker's pool, and room for a bundle of frames that it has just given. */
export const XDP_POOL = 128
export const XDP_FRESH = 132
/** A byte for each UNIT of the UMEM: what the frame was given to the kernel for, by an address in there; 0 where it has none. */
export const XDP_GIVEN = 136
/** Frames that the kernel is to get to receive into, as soon as the pool has some. */
export const XDP_OWED = 140
/** Frames that were sent and have not come back. */
export const XDP_UNDER_WAY = 144
/**
 * Where a received packet begins in its frame: (where the pool puts it &
 * PLACE_MASK) + PLACE_OFFSET; and how far before that lies the address that
 * the kernel is told.
 */
export const XDP_PLACE_MASK = 148
export const XDP_PLACE_OFFSET = 152
export const XDP_BACK = 156
/** A packet to send may have as many bytes, less its address under this mask. */
export const XDP_SEND_BYTES = 160
export const XDP_SEND_MASK = 164
/** Counters, as TRAFFIC_…; behind TRAFFIC_DROPS three reasons of its own (XDP_REASONS). */
export const XDP_TRAFFIC = 168
/** 1 where the kernel copies each packet, 0 where the driver uses the frames. */
export const XDP_COPIES = 172
export const XDP_BYTES = 192

/** Every frame has an address of its own in this unit: the smallest frame's size. */
export const XDP_UNIT_SHIFT = 9
/** Frames that are received into have this size. */
export const XDP_FRAME_BYTES = 2048

/** What a frame was given for. */
export const GIVEN_TO_RECEIVE = 1
export const GIVEN_TO_SEND = 2
