/**
 * What words of a table of fragmented datagrams mean, for TypeScript and
 * AssemblyScript alike: nothing but numbers, offsets in bytes.
 */

/**
 * A table: this head, then buckets (u32 each, a datagram or 0), datagrams and places.
 *
 *     0    u32  first bucket, and buckets less 1; first free datagram; first free place
 *     16   u32  first and last of all datagrams, as they began; of those for whose first fragment others wait
 *     32   u32  ticks that a datagram is known; fragments that wait; whether the packets that are judged have waited
 *     64        key of the fragment that is looked at (KEY_… of formats.ts): identification for ports, of IPv6
 *               protocol 44
 *     112  u32  of that fragment: its first byte in the datagram, and the one behind its last; whether more follow;
 *               where they stand; the protocol that it names
 */
export const DATAGRAMS_BUCKETS = 0
export const DATAGRAMS_MASK = 4
export const DATAGRAMS_FREE = 8
export const DATAGRAMS_FREE_PLACE = 12
export const DATAGRAMS_ALL = 16
export const DATAGRAMS_WAITING = 24
export const DATAGRAMS_TICKS = 32
export const DATAGRAMS_HELD = 36
export const DATAGRAMS_RELEASES = 40
export const DATAGRAMS_KEY = 64
export const DATAGRAMS_BEGIN = 112
export const DATAGRAMS_END = 116
export const DATAGRAMS_MORE = 120
export const DATAGRAMS_AT = 124
export const DATAGRAMS_PROTOCOL = 128
export const DATAGRAMS_BYTES = 192

/**
 * A datagram of which fragments have come:
 *
 *     0         its key
 *     48   u32  the next one of its bucket, and of those that are free
 *     52   u32  the next and the one before it of all; of those that wait
 *     68   u32  the tick after which it is forgotten; bits of DATAGRAM_…
 *     76   u32  bytes that it has, 0 while its last ones have not come; that have come; the one behind the last that has come
 *     88   u32  first and last place of those that wait, or 0
 *     96   u32  what stands for ports in the key of its flow; the protocol; sequence number of its first byte, of TCP
 *     108  u16  the identification that it leaves with, where its source is translated
 *     128       a bit for each eight bytes that have come
 *     1152      a bit for each eight bytes with which a fragment has begun
 */
export const DATAGRAM_NEXT = 48
export const DATAGRAM_ALL = 52
export const DATAGRAM_WAITING = 60
export const DATAGRAM_DEADLINE = 68
export const DATAGRAM_STATE = 72
export const DATAGRAM_TOTAL = 76
export const DATAGRAM_RECEIVED = 80
export const DATAGRAM_HIGHEST = 84
export const DATAGRAM_HELD = 88
export const DATAGRAM_HELD_LAST = 92
export const DATAGRAM_PORTS = 96
export const DATAGRAM_PROTOCOL = 100
export const DATAGRAM_SEQUENCE = 104
export const DATAGRAM_IDENTIFICATION = 108
export const DATAGRAM_BITS = 128
export const DATAGRAM_BEGINS = 1152
export const DATAGRAM_BYTES = 2176
/** Its first fragment has come, and was let through; nothing of it is let through any more. */
export const DATAGRAM_KNOWN = 1
export const DATAGRAM_BROKEN = 2

/** A fragment that waits: its descriptor, the next place or 0, and the stage that has it. */
export const PLACE_NEXT = 16
export const PLACE_STAGE = 20
export const PLACE_BYTES = 32
