/**
 * What the words of routing tables mean, for TypeScript and AssemblyScript
 * alike: both compile this file, so it may hold nothing but numbers. Offsets
 * are in bytes, all words little-endian.
 */

/**
 * A set of tables begins with what all who read it meet first.
 *
 *     0    u32  generation: grows with each change of a route, next hop, group or port; never 0
 *     64   u32  readers: one more than the highest number of a worker that has ever read here
 *     68   u32  address of a line for each reader
 *     72   u32  address of the next hops
 *     76   u32  address of the ports
 *     80   u32  address of the buckets of groups
 *     84   u32  odd factor by which this router mixes flow hashes
 *     128       FIB of IPv4, then that of IPv6
 */
export const TABLES_GENERATION = 0
export const TABLES_READERS = 64
export const TABLES_READER_LINES = 68
export const TABLES_HOPS = 72
export const TABLES_PORTS = 76
export const TABLES_BUCKETS = 80
export const TABLES_SEED = 84
export const TABLES_V4 = 128
export const TABLES_V6 = 256
export const TABLES_BYTES = 384

/**
 * The line of one reader, which is the worker of that number. While it is at
 * work on a bundle, `ACTIVE` is the generation that it began with, so that the
 * writer knows when nobody can see any more what it has taken away; else 0.
 */
export const READER_ACTIVE = 0
export const READER_BYTES = 64

/**
 * A FIB: a trie of nodes with 256 entries each below a root, its routes pushed
 * down to the leaves, and beside it a table of the routes themselves, which
 * only the writer reads.
 *
 *     0   u32  address of the root, of 2^bits entries
 *     4   u32  32 - bits: what is left of the first word of an address
 *     8   u32  bits of an address that the root has: 8, 16 or 24
 *     12  u32  words of an address: 1 or 4
 *     16  u32  address of the nodes
 *     20  u32  nodes that there are
 *     24  u32  nodes that have been used so far; the others are fresh
 *     28  u32  the first free node and 1; 0 for none
 *     32  u32  the first and
 *     36  u32  the last node that was taken out and may be seen still, and 1
 *     40  u32  address of two words for each node: the next in its list, and the generation it was taken out with
 *     44  u32  nodes in the trie
 *     48  u32  nodes in the list of those that may be seen still
 *     52  u32  address of the table of routes
 *     56  u32  its slots less 1
 *     60  u32  routes that there are
 *     64  u32  routes that there may be
 *     68  u32  address of a count of routes for each length
 *     72  f64  routes refused because there was no node
 *     80  f64  routes refused because there were as many as there may be
 */
export const FIB_ROOT = 0
export const FIB_ROOT_SHIFT = 4
export const FIB_ROOT_BITS = 8
export const FIB_WORDS = 12
export const FIB_NODES = 16
export const FIB_NODE_COUNT = 20
export const FIB_FRESH = 24
export const FIB_FREE = 28
export const FIB_WAITING = 32
export const FIB_LAST_WAITING = 36
export const FIB_LINKS = 40
export const FIB_USED = 44
export const FIB_WAITING_COUNT = 48
export const FIB_SLOTS = 52
export const FIB_SLOT_MASK = 56
export const FIB_ROUTES = 60
export const FIB_MOST_ROUTES = 64
export const FIB_LENGTHS = 68
export const FIB_REFUSED_NODES = 72
export const FIB_REFUSED_ROUTES = 80

/**
 * An entry of root or node:
 *
 *     bit 31      the address of a node stands in the lower bits, divided by its 1,024 bytes
 *     bits 23-30  otherwise: the length of the route's prefix, 0 to 128
 *     bits 0-22   and its next hop; 0 for no route
 */
export const ENTRY_NODE = 0x80000000
export const ENTRY_LENGTH_SHIFT = 23
export const ENTRY_HOP_MASK = 0x7fffff

/** A node has an entry for each value of the next eight bits. */
export const NODE_BITS = 8
export const NODE_BYTES = 1024
export const NODE_SHIFT = 10
export const LINK_BYTES = 8

/** A slot of the table of routes: the words of the address, then the entry; 0 where it is free. Bit 31 marks it. */
export const ROUTE_MARK = 0x80000000
export const MOST_LENGTHS = 129

/** What a change of a FIB comes to. */
export const CHANGE_DONE = 0
export const CHANGE_NONE = 1
export const CHANGE_NO_NODE = 2
export const CHANGE_NO_ROUTE = 3

/**
 * A next hop: one cache line; its number is its index. FORWARD is the highest
 * kind, so that one comparison of the way tells that a packet goes by a port
 * and is not too long for it. The port is one that the tables have.
 *
 *     0   12 bytes of Ethernet addresses as they are stored: destination, source
 *     16  u32  the way: port, MTU << 8, kind << 24; read and written as one
 *     20  u32  which of the port's addresses ICMP errors come from
 *     24  u32  of a group: the index of its first bucket
 */
export const HOP_ADDRESSES = 0
export const HOP_WAY = 16
export const HOP_SOURCE = 20
export const HOP_BUCKETS = 24
export const HOP_BYTES = 64
export const HOP_SHIFT = 6
export const WAY_PORT_MASK = 0xff
export const WAY_MTU_SHIFT = 8
export const WAY_MTU_MASK = 0xffff
export const WAY_KIND_SHIFT = 24

/** Kinds of next hops; hop number 0 is that of who has no route. */
export const KIND_NONE = 0
export const KIND_LOCAL = 1
export const KIND_BLACKHOLE = 2
export const KIND_UNREACHABLE = 3
export const KIND_PROHIBIT = 4
export const KIND_UNRESOLVED = 5
export const KIND_GROUP = 6
export const KIND_FORWARD = 7

/** Buckets of a group, a next hop each; a flow is in that of the highest bits of its mixed hash. */
export const GROUP_BUCKETS = 64
export const GROUP_SHIFT = 26

/**
 * A port:
 *
 *     0   its Ethernet address, 6 bytes
 *     8   u32  PORT_… bits
 *     12  u32  EtherType, version and header length of IPv4 without options, as they stand at 12 of a packet
 *     16  u32  MTU
 *     20  u32  how many IPv4 and
 *     24  u32  how many IPv6 addresses it has
 *     28  u32  interface index of the kernel's, 0 for none
 *     32  IPv4 addresses, 8 at most, as they stand in a packet
 *     64  IPv6 addresses, 4 at most
 */
export const PORT_MAC = 0
export const PORT_SETTINGS = 8
export const PORT_TYPES = 12
export const PORT_MTU = 16
export const PORT_V4_COUNT = 20
export const PORT_V6_COUNT = 24
export const PORT_INTERFACE = 28
export const PORT_V4 = 32
export const PORT_V6 = 64
export const PORT_BYTES = 128
export const PORT_MOST_V4 = 8
export const PORT_MOST_V6 = 4
/** The source must be reachable through the port that the packet came by (strict), or through any (loose). */
export const PORT_REVERSE_LOOSE = 1
export const PORT_REVERSE_STRICT = 2
/** Nothing that comes in here is forwarded. */
export const PORT_FORWARDS = 4
/** What stands at PORT_TYPES. */
export const PLAIN_IPV4 = 0x450008

/**
 * What `forward` notes about a packet of the outputs `unresolved` and `errors`,
 * in 8 bytes before all that is copied with a packet (COPIED_BEFORE of memory):
 *
 *     -48  u8   why: NOTE_…
 *     -47  u8   the port that it came by
 *     -44  u32  its next hop; 0 for none
 */
export const NOTE_REASON_BEFORE = 48
export const NOTE_PORT_BEFORE = 47
export const NOTE_HOP_BEFORE = 44
export const NOTE_UNRESOLVED = 1
export const NOTE_NO_ROUTE = 2
export const NOTE_UNREACHABLE = 3
export const NOTE_PROHIBITED = 4
export const NOTE_TIME_EXCEEDED = 5
/** Longer than the MTU, and it may not be cut (do-not-fragment is set, or it is IPv6). */
export const NOTE_TOO_BIG = 6
/** Longer than the MTU, to be cut into fragments. */
export const NOTE_FRAGMENT = 7
/** From an IPv6 address that means something on its own link only. */
export const NOTE_BEYOND_SCOPE = 8
/** The neighbour that it was to go to has not answered; noted by `hold`. */
export const NOTE_NO_NEIGHBOUR = 9
/** Instead of the port that a packet came by: it is the router's own. */
export const NO_PORT = 255
/**
 * In two bytes so many before a fragment's first, as packets have it: the
 * identification that all fragments of its datagram get where its source is
 * translated. Who cuts has written it, and who tracks fragments.
 */
export const NOTE_IDENTIFICATION_BEFORE = 64
/** Where identifications are taken from: u32 how many have been; the lowest; how many there are. */
export const IDENTIFY_TAKEN = 0
export const IDENTIFY_LOWEST = 4
export const IDENTIFY_COUNT = 8
export const IDENTIFY_BYTES = 12

/**
 * What a `forward` stage is handed.
 *
 *     0   u32  address of the tables
 *     4   u32  of its reader's line
 *     8   u32  the port by which its packets come
 *     12  u32  address of its port
 *     16  u32  outputs of ports
 *     20  u32  FORWARD_… bits
 *     24  u32  address of the bundles of its outputs
 *     28  u32  room for the end of each
 *     32  u32  address of the drop counters, f64 each
 *     36  u32  room for a word for each packet of a bundle
 *     40  u32  address of its vectors
 */
export const STAGE_TABLES = 0
export const STAGE_READER = 4
export const STAGE_PORT = 8
export const STAGE_PORT_LINE = 12
export const STAGE_PORTS = 16
export const STAGE_SETTINGS = 20
export const STAGE_OUTPUTS = 24
export const STAGE_ENDS = 28
export const STAGE_DROPS = 32
export const STAGE_LEAVES = 36
export const STAGE_VECTORS = 40
export const STAGE_BYTES = 64
export const FORWARD_CHECKSUM = 1
export const FORWARD_MARTIANS = 2

/**
 * What a `forward` stage compares packets with, 16 bytes each. They stand in
 * memory because what a loop has loaded before it stays in registers, where V8
 * makes constant vectors again for each packet.
 *
 *     0   which bits of the first 16 bytes of a usual packet are as in the line of its port
 *     16  its bytes 18 to 33: the least that each is,
 *     32  by how much it is more at most,
 *     48  what it is not,
 *     64  and which bytes that is said of
 *     80  the order of bytes (`i8x16.swizzle`) that turns each of four words round
 *     96  EtherType of IPv6 in the lower half of four words
 */
export const VECTOR_OWN_WHERE = 0
export const VECTOR_LEAST = 16
export const VECTOR_SPREAD = 32
export const VECTOR_BARRED = 48
export const VECTOR_BARRED_WHERE = 64
export const VECTOR_SWAP = 80
export const VECTOR_IPV6 = 96
export const VECTORS_BYTES = 112

/** Where a packet goes: a port's output by its number, or one of these, which stand behind the last port's. */
export const TO_LOCAL = 0
export const TO_UNRESOLVED = 1
export const TO_ERRORS = 2
export const TO_OUTPUTS = 3
/** Drops, from this number on, in the order of the stage's reasons. */
export const TO_DROPS = 0x200
export const DROP_OTHER_HOST = 0
export const DROP_MALFORMED = 1
export const DROP_CHECKSUM = 2
export const DROP_MARTIAN = 3
export const DROP_LINK_BROADCAST = 4
export const DROP_REVERSE_PATH = 5
export const DROP_BLACKHOLE = 6
export const DROP_FORWARDING_OFF = 7
