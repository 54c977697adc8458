/**
 * What words in linear memory mean, for TypeScript and AssemblyScript alike:
 * both compile this file, so it may hold nothing but numbers. Offsets are in
 * bytes, all words little-endian.
 */

/**
 * One packet of a bundle or ring: the kernel's `struct xdp_desc`
 * (linux/if_xdp.h), so that entries of AF_XDP rings are moved by one load and
 * one store of 16 bytes. The UMEM begins at offset 0 of the memory, so the
 * kernel's addresses are ours.
 *
 *     0   u32  address of the packet's first byte; within the frame that owns it
 *     4   u32  bytes on the wire. The kernel has the upper half of its address
 *              here: 0 when received, and it must be 0 again to be sent
 *     8   u32  bytes captured; what is in memory
 *     12  u32  flags: what is left to do, bits of FLAG_…; 0 from and for the kernel's rings
 */
export const DESCRIPTOR_ADDRESS = 0
export const DESCRIPTOR_WIRE = 4
export const DESCRIPTOR_CAPTURED = 8
export const DESCRIPTOR_FLAGS = 12
export const DESCRIPTOR_BYTES = 16

/**
 * Flags of a descriptor say what has been left undone, as a network card's
 * offloads do; a device that cannot hand that on does it itself, or drops the
 * packet with a reason. They mean what they mean in `struct virtio_net_hdr`:
 *
 *     0       the kernel's own XDP_PKT_CONTD
 *     1       the transport checksum is missing: its field holds the sum of the pseudo-header, not inverted
 *     2       the transport checksum has been checked
 *     3, 4    the transport is TCP; is UDP
 *     5       the network is IPv6
 *     6       TCP segments but the first have CWR cleared (SKB_GSO_TCP_ECN)
 *     7       all IPv4 segments have the identification of the first, instead of counting on
 *     8-15    bytes before the transport header, halved
 *     16-31   payload bytes of each segment, where the packet is to be cut into several; else 0
 *
 * Bits 3 to 15 hold where bit 1 is set or the packet is to be cut.
 */
export const FLAG_CHECKSUM_MISSING = 0x2
export const FLAG_CHECKSUM_GOOD = 0x4
export const FLAG_TCP = 0x8
export const FLAG_UDP = 0x10
export const FLAG_IPV6 = 0x20
export const FLAG_ECN = 0x40
export const FLAG_FIXED_ID = 0x80
export const FLAGS_TRANSPORT_SHIFT = 7
export const FLAGS_TRANSPORT_MASK = 0x1fe
export const FLAGS_SEGMENT_SHIFT = 16

/** A bundle: how many there are, then the descriptors. Its room is always for MOST_IN_BUNDLE. */
export const BUNDLE_COUNT = 0
export const BUNDLE_DESCRIPTORS = 16
export const MOST_IN_BUNDLE = 256
export const BUNDLE_BYTES = 4112

/**
 * Frame metadata, counted from the packet's first byte; where XDP metadata lies
 * when a program made room for all 16 bytes (`bpf_xdp_adjust_meta`).
 *
 *     -16  u32  mark of a policy: first, because `mark` writes the first word of the metadata
 *     -12  u32  flow hash
 *     -8   u16  packet type
 *     -6   u8   verdict
 *     -5   u8   which of these are valid: bits of METADATA_HAS_…; whoever gives the frame to a driver, or
 *              writes a packet into it that no driver has seen, writes 0
 *     -4   u32  which trace follows it, and under which number (`engine/packet-marks.ts`)
 */
export const METADATA_BYTES = 16
export const METADATA_MARK = 0
export const METADATA_HASH = 4
export const METADATA_TYPE = 8
export const METADATA_VERDICT = 10
export const METADATA_VALID = 11
export const METADATA_TRACE = 12
export const METADATA_HAS_MARK = 1
/** Type, and the flow hash of wire/flow-hash.ts. */
export const METADATA_HAS_FLOW = 2
/** The slot of the rule that diverted the packet; 255 for slots from there on. */
export const METADATA_HAS_VERDICT = 4
/** What lies before the metadata is valid: when the packet was captured. */
export const METADATA_HAS_TIME = 8
/** And before that: the number of the record of a capture file that the packet came in. */
export const METADATA_HAS_RECORD = 16
export const METADATA_HAS_TRACE = 32

/**
 * So many bytes before the packet's first, f64 each: the number of its record;
 * seconds since 1970, and nanoseconds, so that what a capture file says comes
 * back also where it is nonsense. Whoever copies a packet copies from
 * COPIED_BEFORE on.
 */
export const RECORD_NUMBER_BEFORE = 40
export const TIME_SECONDS_BEFORE = 32
export const TIME_NANOSECONDS_BEFORE = 24
export const COPIED_BEFORE = 40

/**
 * Packet type of an Ethernet frame: network, transport, and what makes a
 * header's place not the usual one. 0 where the network is another one or its
 * header is not whole. Extension headers of IPv6 are not walked: behind one
 * the transport is 0.
 *
 *     0-3    TYPE_IPV4, TYPE_IPV6 or TYPE_ARP
 *     4-7    TYPE_TCP, TYPE_UDP or TYPE_ICMP, by the header's protocol alone; in each fragment too
 *     8, 9   a fragment; with IPv4 options, or an IPv6 extension header
 *     12-13  VLAN tags (802.1Q, 802.1ad) before the network header: 0 to 2
 */
export const TYPE_IPV4 = 1
export const TYPE_IPV6 = 2
export const TYPE_ARP = 3
export const TYPE_TCP = 0x10
export const TYPE_UDP = 0x20
export const TYPE_ICMP = 0x30
export const TYPE_TRANSPORT_SHIFT = 4
export const TYPE_TRANSPORT_MASK = 0xf
export const TYPE_FRAGMENT = 0x100
export const TYPE_EXTENDED = 0x200
export const TYPE_TAG = 0x1000
export const TYPE_MOST_TAGS = 2

/**
 * Where the packet begins in a frame that the pool has just given: 18 behind a
 * cache line's begin, so that metadata and the headers up to the ports share
 * that line and the IPv4 header is aligned to 4. A number of lines is added by
 * the page the frame is in, so that the headers of frames at equal distances
 * do not share few sets of the cache.
 */
export const HEADROOM_BYTES = 146
export const STAGGER_PAGE_SHIFT = 12
export const STAGGER_LINE_SHIFT = 6

/** A worker's cache of free frames of one class; those of all classes stand one behind the other. */
export const CACHE_COUNT = 0
export const CACHE_STACK = 4
/** First address of the class's frames, their bytes together, and -bytes of one, the mask from address to frame. */
export const CACHE_FRAMES = 8
export const CACHE_FRAMES_BYTES = 12
export const CACHE_FRAME_MASK = 16
export const CACHE_FRAME_SHIFT = 20
/** Mask of the page number: how many lines the headroom is staggered by, less 1. */
export const CACHE_STAGGER = 24
export const CACHE_SHARED = 28
/** f64: frames that were asked for and not there. */
export const CACHE_MISSING = 32
/** One byte a frame, and the counters of faults; used by the checked build. */
export const CACHE_OWNERS = 40
export const CACHE_FAULTS = 44
/** One byte a frame: the worker that holds it, 0 while it lies in the shared pool. */
export const CACHE_HOLDERS = 48
/** The number of the worker whose cache this is, 1 to MOST_WORKERS, or HELD_BY_KERNEL. */
export const CACHE_WORKER = 52
export const CACHE_BYTES = 64
export const MOST_WORKERS = 127
/**
 * Holder of frames whose socket is closed, and which the kernel may still write into or send from; with the number of
 * the worker whose thread will hear when it may no more, or by itself where that is whoever started the thread.
 */
export const HELD_BY_KERNEL = 128

/**
 * Classes of frames, in the order of their caches. 65536 holds what was merged,
 * up to a whole IP packet; 524288 the longest packet that a capture file may
 * have (libpcap's MAXIMUM_SNAPLEN, 262144), which no network device receives.
 */
export const FRAME_CLASSES = 5
export const CLASS_2048 = 0
export const CLASS_512 = 1
export const CLASS_4096 = 2
export const CLASS_65536 = 3
export const CLASS_524288 = 4
/** Frames that a cache holds at most, and that move between it and the shared pool at once. */
export const CACHE_ENTRIES = 512
export const CACHE_BULK = 256

/**
 * What all workers share of one class: a spin lock, taken once for each bulk and
 * holding the number of the worker that has it, and the stack of free frames.
 */
export const SHARED_LOCK = 0
export const SHARED_COUNT = 4
export const SHARED_STACK = 8
export const SHARED_BYTES = 64

/** u32 each, then the frame of the last fault. FOREIGN is counted in every build, the others in the checked one. */
export const FAULT_FOREIGN = 0
export const FAULT_DOUBLE_FREE = 4
export const FAULT_USE_AFTER_FREE = 8
export const FAULT_WRITE_AFTER_FREE = 12
export const FAULT_FRAME = 16
export const FAULTS_BYTES = 64

/** Owner byte of a frame that is free; 1 where nobody has said who has it, else the number of the stage + 2. */
export const OWNER_NOBODY = 0
export const OWNER_UNKNOWN = 1

/**
 * A ring with one producer and one consumer, each with cache lines of its own:
 * its index, what it last saw of the other's, and the slots less 1. Indices
 * count on and wrap at 2^32. Slots are descriptors.
 */
export const RING_PRODUCED = 0
export const RING_SEEN_CONSUMED = 4
export const RING_PRODUCER_MASK = 8
export const RING_CONSUMED = 64
export const RING_SEEN_PRODUCED = 68
export const RING_CONSUMER_MASK = 72
export const RING_SLOTS = 128

/**
 * What a worker shows and is told, in memory that outlives it. The bell is
 * BELL_LOOP while the worker sleeps in its event loop, BELL_POLL while in
 * poll(2); who makes it 0 wakes it.
 *
 *     64  u32  rounds; stands still in a worker that hangs
 *     68  u32  0 while it waits, 1 at work, 2 until it has started, 3 when it has left its rounds for good and told so
 *     72  u32  a message waits, for which it must leave its rounds
 *     76  u32  odd while its stages change: their counters have no place then
 *     80  u32  it is to end: by itself, where it waits
 *     84  u32  how often something has changed that is none of its packets, and that it must have a round for
 *     128 u32  each: a descriptor that its thread has open; 0 or less, none
 *     4224 u32 for each of these, where it waits for a queue: the device's index and the queue's number; else 0 and 0
 */
export const WORKER_BELL = 0
export const BELL_LOOP = 1
export const BELL_POLL = 2
export const WORKER_ROUNDS = 64
export const WORKER_BUSY = 68
export const WORKER_ASKED = 72
export const WORKER_GENERATION = 76
export const WORKER_ENDS = 80
export const WORKER_WAKES = 84
export const WORKER_DESCRIPTORS = 128
export const MOST_DESCRIPTORS = 1024
export const WORKER_QUEUES = 4224
export const WORKER_BYTES = 12_416

/** Counters of a device, f64 each. */
export const TRAFFIC_RECEIVED_PACKETS = 0
export const TRAFFIC_RECEIVED_BYTES = 8
export const TRAFFIC_SENT_PACKETS = 16
export const TRAFFIC_SENT_BYTES = 24
export const TRAFFIC_COPIED_PACKETS = 32
/** Of those that only some devices have; what each means is the device's. */
export const TRAFFIC_DROPS = 40
export const TRAFFIC_BYTES = 128
