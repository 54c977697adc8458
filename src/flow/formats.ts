/**
 * What words of the connection table mean, for TypeScript and AssemblyScript
 * alike: nothing but numbers, offsets in bytes, words little-endian. Addresses
 * and ports stand as they are loaded from a packet.
 */

/**
 * A table: this head, then buckets and flows.
 *
 *     0    u32  address of the first flow, and of the first bucket; buckets less 1; flows there is room for
 *     16   u32  first free flow, or 0; flows in use; the clock; the generation of routes that the bundle began with
 *     32   u64  the two halves of the hash's key
 *     48   u32  settings, bits of FLOWS_…; retransmissions that shorten a timeout; the sweep's and the eviction's next flow
 *     64   u32  timeouts, in ticks, by state
 *     160  f64  counters
 *     224  u32  address of the rules of translation; how many there are, and whether some translate destinations
 *     236  u32  workers that share flows out, and which of them this table is of; address of the fragments, or 0
 *     256       the packet that is looked at
 *     448  u8   next state by direction, kind of segment and state
 *     576       a key
 *     640       two keys
 *     736       where identifications are taken from (IDENTIFY_… of route/formats.ts)
 */
export const FLOWS_RECORDS = 0
export const FLOWS_BUCKETS = 4
export const FLOWS_BUCKET_MASK = 8
export const FLOWS_CAPACITY = 12
export const FLOWS_FREE = 16
export const FLOWS_ACTIVE = 20
/** Ticks since the table was opened, from 1 on. */
export const FLOWS_CLOCK = 24
export const FLOWS_SEEN = 28
export const FLOWS_KEY = 32
export const FLOWS_SETTINGS = 48
export const FLOWS_MOST_RETRANSMITTED = 52
export const FLOWS_SWEEP = 56
export const FLOWS_EVICT = 60
export const FLOWS_TIMEOUTS = 64
export const FLOWS_COUNTERS = 160
export const FLOWS_RULES = 224
export const FLOWS_RULE_COUNT = 228
export const FLOWS_PUBLISHES = 232
export const FLOWS_OWNERS = 236
export const FLOWS_OWNER = 240
export const FLOWS_FRAGMENTS = 244
export const FLOWS_PACKET = 256
export const FLOWS_NEXT_STATE = 448
/** Room for a key. */
export const FLOWS_SCRATCH = 576
/** Room for the two keys by which the owner of a flow is found. */
export const FLOWS_OWNER_KEYS = 640
export const FLOWS_IDENTIFY = 736
export const FLOWS_BYTES = 768
export const TICK_MS = 100

/** Connections whose begin was not seen are picked up. */
export const SETTING_LOOSE = 1
/** Of what is out of the window only RST is invalid. */
export const SETTING_LIBERAL = 2
/** Checksums of IPv4, TCP, UDP and ICMP are verified. */
export const SETTING_CHECKSUMS = 4
/** A full table forgets who has not been answered. */
export const SETTING_EVICT = 8

/** Counters, f64 each, from FLOWS_COUNTERS on. */
export const COUNT_CREATED = 0
export const COUNT_EXPIRED = 8
export const COUNT_EVICTED = 16
export const COUNT_REFUSED = 24
export const COUNT_CROWDED = 32
export const COUNT_FRAGMENTS = 40
export const COUNT_REPLACED = 48

/**
 * A bucket is one cache line: eight tags, 0 where free, then eight references:
 * the flow's number * 2 + the direction of which the key is.
 */
export const BUCKET_REFERENCES = 32
export const BUCKET_SLOTS = 8
export const BUCKET_BYTES = 64
/** `find` found nothing. */
export const NO_FLOW = 0xffffffff

/**
 * What tells flows apart, 16 bytes, and for IPv6 two addresses beside them.
 *
 *     0   u32  source, destination; of IPv6 addresses a sum of their words
 *     8   u16  source port, destination port; of ICMP the identifier, and type + 256 * code
 *     12  u8   protocol, 4 or 6; u16 0
 */
export const KEY_SOURCE = 0
export const KEY_DESTINATION = 4
export const KEY_PORTS = 8
export const KEY_PROTOCOL = 12
export const KEY_FAMILY = 13
export const KEY_BYTES = 16

/**
 * A flow: three cache lines, of which IPv4 touches two.
 *
 *     0         key of the packets that opened it; of those that answer
 *     32, 48    what each side has sent (tcp-window.inline.as.ts): u32 end, end of the window, window, acknowledged
 *     64   u32  the tick after which it has expired; of a free flow the address of the next free one
 *     68   u8   state; kind and direction of the last segment; retransmissions; u8 window scale of each side,
 *               flags of each side
 *     76   u16  the last segment's window; u8 flags and window scale of a SYN that was let through
 *     80   u32  sequence, acknowledgement and end of the last segment; of UDP, when it counts as a stream
 *     92   u16  bits of STATUS_…, and from 8 on how often it has been taken; u8 ports of each direction's decision: out, and in * 16
 *     96   u32  generation of the remembered decisions
 *     100  u16  longest IP packet for which each decision was taken
 *     104       Ethernet addresses of each decision, 12 bytes
 *     128       IPv6: source and destination of the first key, then of the other
 */
export const FLOW_KEYS = 0
export const FLOW_WINDOWS = 32
export const FLOW_DEADLINE = 64
export const FLOW_STATE = 68
export const FLOW_LAST_KIND = 69
export const FLOW_LAST_DIRECTION = 70
export const FLOW_RETRANSMITTED = 71
export const FLOW_SCALES = 72
export const FLOW_SIDES = 74
export const FLOW_LAST_WINDOW = 76
export const FLOW_LAST_FLAGS = 78
export const FLOW_LAST_SCALE = 79
export const FLOW_LAST_SEQUENCE = 80
export const FLOW_LAST_ACKNOWLEDGED = 84
export const FLOW_LAST_END = 88
export const FLOW_STATUS = 92
export const FLOW_PORTS = 94
/** Decisions are remembered between so many ports, the first ones. */
export const MOST_REMEMBERED_PORTS = 16
export const IN_PORT_SHIFT = 4
export const FLOW_ROUTE_GENERATION = 96
export const FLOW_LONGEST = 100
export const FLOW_REWRITES = 104
export const FLOW_ADDRESSES = 128
export const FLOW_BYTES = 192

export const WINDOW_END = 0
export const WINDOW_MOST_END = 4
export const WINDOW_SIZE = 8
export const WINDOW_ACKNOWLEDGED = 12
export const WINDOW_BYTES = 16

export const STATUS_REPLIED = 1
/** Both sides have shown that they mean it: a full table keeps it. */
export const STATUS_ASSURED = 2
/** Destinations of packets that open the flow are translated, and sources of those that answer; the other way round. */
export const STATUS_DESTINATION = 4
export const STATUS_SOURCE = 8
/** It has been decided whether sources are translated. */
export const STATUS_SETTLED = 16
/** A decision is remembered for packets that opened the flow; the next bit: for those that answer. */
export const STATUS_ROUTED = 32
export const STATUS_IN_USE = 128
export const STATUS_USES_SHIFT = 8
export const STATUS_USES = 0x7f00
export const STATUS_USE = 0x100
/** Sources are translated to an address of the port, for as long as the port has it. */
export const STATUS_MASQUERADED = 0x8000

/** States of TCP; those of other protocols follow. 0 is a flow that is being made. */
export const STATE_NONE = 0
export const STATE_SYN_SENT = 1
export const STATE_SYN_RECEIVED = 2
export const STATE_ESTABLISHED = 3
export const STATE_FIN_WAIT = 4
export const STATE_CLOSE_WAIT = 5
export const STATE_LAST_ACK = 6
export const STATE_TIME_WAIT = 7
export const STATE_CLOSE = 8
/** A SYN from both sides: a simultaneous open. */
export const STATE_SYN_SENT_TWICE = 9
export const TCP_STATES = 10
/** No states: timeouts of connections that wait for an acknowledgement, or for the end of retransmissions. */
export const TIMEOUT_RETRANSMITTED = 10
export const TIMEOUT_UNACKNOWLEDGED = 11
export const STATE_UDP = 12
export const STATE_UDP_STREAM = 13
export const STATE_ICMP = 14
export const STATE_OTHER = 15
/** Not a state but what becomes of a segment: it passes and changes nothing; it is invalid. */
export const NEXT_IGNORED = 16
export const NEXT_INVALID = 17

/** Kinds of segments, in the order of the table of states. */
export const KIND_SYN = 0
export const KIND_SYN_ACK = 1
export const KIND_FIN = 2
export const KIND_ACK = 3
export const KIND_RST = 4
export const KIND_NONE = 5
export const KINDS = 6

/** What a packet is to the table: the order of the outputs of `track`; remembered ports follow. */
export const VERDICT_ESTABLISHED = 0
export const VERDICT_NEW = 1
export const VERDICT_RELATED = 2
export const VERDICT_INVALID = 3
export const VERDICT_UNTRACKED = 4
export const VERDICT_CACHED = 5
/** Beyond all outputs: the packet is dropped for the reason of that number behind it. */
export const VERDICT_DROPPED = 0x100
export const DROP_FULL = 0
export const DROP_CROWDED = 1
/** Where addresses are translated: fragments are not tracked; another flow has the key of what would answer. */
export const DROP_FRAGMENT = 2
export const DROP_TAKEN = 3
/** Of fragments: what no host sends; too little of the transport's header; bytes that are there already, all or some. */
export const DROP_MALFORMED = 4
export const DROP_SHORT = 5
export const DROP_TWICE = 6
export const DROP_OVERLAP = 7
/** The first has not come in time; there was no room to wait for it; what it is a part of is not let through. */
export const DROP_LATE = 8
export const DROP_NO_ROOM = 9
export const DROP_PART = 10
/** Beyond all drops: the packet waits. */
export const VERDICT_KEPT = 0x300
/**
 * A packet's flow, in a word so many bytes before its first, where `track` is
 * told that somebody asks: 0, or the number of the flow + 1 and, from bit 23 on,
 * how often that flow had been taken, 7 bits; bit 31 is set where the packet
 * answers, bit 30 in an ICMP error that is about the flow.
 */
export const MARK_BEFORE = 52
export const MARK_REPLY = 0x80000000
export const MARK_RELATED = 0x40000000
export const MARK_USES_SHIFT = 23
export const MARK_USES = 0x3f800000
export const MARK_NUMBER = 0x7fffff
export const MOST_FLOWS = 0x400000
/**
 * In a word so many bytes before its first: the port by which a packet has come
 * that is handed to another worker; of a fragment also whether it is known what
 * it is a part of.
 */
export const IN_PORT_BEFORE = 56
export const IN_PORT_MASK = 0xffff
export const IN_PORT_KNOWN = 0x10000
/**
 * What is known of a fragment then, so many bytes before its first: of its
 * datagram what stands for ports in its key, u32; the protocol, u16; of TCP the
 * sequence number of the first byte that is cut up, u32.
 */
export const PART_PORTS_BEFORE = 60
export const PART_PROTOCOL_BEFORE = 62
export const PART_SEQUENCE_BEFORE = 68

/**
 * The packet that is looked at, from FLOWS_PACKET on.
 *
 *     0    its key, then the two IPv6 addresses
 *     48   u32  its first byte; network header; transport header; end of the IP packet
 *     64   u32  of TCP: sequence, acknowledgement, end, window, kind, flags; of all: the flow, the direction
 *     96        a key that is made of it, with its addresses
 *     144       another one
 */
export const PACKET_NETWORK = 52
export const PACKET_TRANSPORT = 56
export const PACKET_END = 60
export const PACKET_SEQUENCE = 64
export const PACKET_ACKNOWLEDGED = 68
export const PACKET_SEGMENT_END = 72
export const PACKET_WINDOW = 76
export const PACKET_KIND = 80
export const PACKET_FLOW = 88
export const PACKET_DIRECTION = 92
export const PACKET_OTHER_KEY = 96
export const PACKET_THIRD_KEY = 144
export const TUPLE_ADDRESSES = 16
export const TUPLE_BYTES = 48

/**
 * What a stage `track` is handed.
 *
 *     0   u32  its worker's pool; the table; addresses of its outputs; of its drops
 *     16  u32  bits of TRACK_…; of the tables of routes; of the line of the port that packets come by; its number
 *     32  u32  the output of the first other worker; the line of its reader of routes; first and last fragment of those
 *              that have waited, or 0
 */
export const TRACK_POOL = 0
export const TRACK_FLOWS = 4
export const TRACK_OUTPUTS = 8
export const TRACK_DROPS = 12
export const TRACK_SETTINGS = 16
export const TRACK_ROUTES = 20
export const TRACK_PORT_LINE = 24
export const TRACK_PORT = 28
export const TRACK_WORKERS = 32
export const TRACK_READER = 36
export const TRACK_READY = 40
export const TRACK_READY_LAST = 44
export const TRACK_BYTES = 48
/** Packets are marked with their flow; decisions are used that have been remembered. */
export const TRACK_MARKS = 1
export const TRACK_CACHES = 2

/**
 * A rule of translation, 64 bytes:
 *
 *     0   u8   kind; 4 or 6, 0 for both; protocol, 0 for all
 *     4   u32  the port by which packets leave, of sources
 *     8   u16  destinations: the port that is matched, 0 for all; its translation, 0 for none, as packets have them.
 *              Sources: the lowest and the highest port that is given out, as numbers
 *     12  u32  addresses to choose from
 *     16       what the source or the destination is compared with, after
 *     32       this mask; 48 the first address to translate to
 */
export const RULE_KIND = 0
export const RULE_FAMILY = 1
export const RULE_PROTOCOL = 2
export const RULE_OUT_PORT = 4
export const RULE_PORTS = 8
export const RULE_COUNT = 12
export const RULE_PREFIX = 16
export const RULE_MASK = 32
export const RULE_TARGET = 48
export const RULE_BYTES = 64
export const RULE_SOURCE = 1
export const RULE_DESTINATION = 2
export const RULE_MASQUERADE = 3

/** What a stage `translate` is handed: u32 its worker's pool; the table; addresses of its drops, of the port's line; the port. */
export const TRANSLATE_POOL = 0
export const TRANSLATE_FLOWS = 4
export const TRANSLATE_DROPS = 8
export const TRANSLATE_PORT_LINE = 12
export const TRANSLATE_PORT = 16
export const TRANSLATE_BYTES = 32
/** Why it drops a packet, less 1; 0 where it passes. */
export const TRANSLATED = 0
export const TRANSLATE_NO_PORT = 1
export const TRANSLATE_NO_ADDRESS = 2
export const TRANSLATE_CHANGED = 3
export const TRANSLATE_ENDED = 4

/** What a stage `owner` is handed: u32 the table; address of the outputs by the number of their worker, of which its own is 0; the port. */
export const OWNER_FLOWS = 0
export const OWNER_OUTPUTS = 4
export const OWNER_PORT = 8
export const OWNER_BYTES = 16
