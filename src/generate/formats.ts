/**
 * What the generator and the measuring stage keep in linear memory, for
 * TypeScript and AssemblyScript alike; offsets in bytes, u32 unless said
 * otherwise. Times are nanoseconds in f64.
 */

/**
 * What identifies a packet at the other end, at the begin of its payload,
 * little-endian: magic, run, sequence number, and the clock when it was made
 * (u64). 18 bytes are what the smallest Ethernet frame has room for behind
 * IPv4 and UDP.
 */
export const STAMP_MAGIC = 0
export const STAMP_RUN = 4
export const STAMP_SEQUENCE = 6
export const STAMP_TIME = 10
export const STAMP_BYTES = 18
export const STAMP_MAGIC_WORD = 0x31_67_6c_73

/** When the next packet is due (f64), counted from the start; the mean gap, 0 for as fast as it goes (f64). */
export const GENERATOR_DUE = 0
export const GENERATOR_INTERVAL = 8
/** How late a packet may be sent (f64); what is later is left out and counted (f64). */
export const GENERATOR_SLACK = 16
export const GENERATOR_LEFT_OUT = 24
/** Packets made, their bytes, and how many there shall be (f64 each). */
export const GENERATOR_MADE = 32
export const GENERATOR_BYTES_MADE = 40
export const GENERATOR_MOST = 48
/** The clock at the start (f64). */
export const GENERATOR_START = 56
/** State of the random numbers (u64). */
export const GENERATOR_RANDOM = 64
export const GENERATOR_ARRIVALS = 72
/** Packets of a burst, and how many of this one are left. */
export const GENERATOR_BURST = 76
export const GENERATOR_BURST_LEFT = 80
/** Which template comes next: u32 each, drawn or taken in turn. */
export const GENERATOR_SLOTS = 84
export const GENERATOR_SLOT_COUNT = 88
export const GENERATOR_IN_TURN = 92
export const GENERATOR_NEXT_SLOT = 96
export const GENERATOR_TEMPLATES = 100
export const GENERATOR_RUN = 104
/** A bundle of empty frames, and the cache that they are taken from. */
export const GENERATOR_STOCK = 108
export const GENERATOR_CACHE = 112
/** Ranges of rounds, and how many. */
export const GENERATOR_RANGES = 116
export const GENERATOR_RANGE_COUNT = 120
/** Packets with a stamp (f64), which sequence numbers count; those without by reason, as in the list of them (f64 each). */
export const GENERATOR_STAMPED = 128
export const GENERATOR_UNSTAMPED = 136
export const GENERATOR_STATE_BYTES = 192

export const ARRIVALS_CONSTANT = 0
export const ARRIVALS_POISSON = 1
export const ARRIVALS_BURSTS = 2
/** Each template says how long after it the next one is due. */
export const ARRIVALS_RECORDED = 3

/** Where the bytes are and how many; the fields that differ; where the stamp goes, 0 for nowhere. */
export const TEMPLATE_AT = 0
export const TEMPLATE_LENGTH = 4
export const TEMPLATE_FIELDS = 8
export const TEMPLATE_FIELD_COUNT = 12
export const TEMPLATE_STAMP = 16
/**
 * Where a checksum stands, 0 for none, and its sum without what is written into
 * the fields: by RFC 1624, equation 3, of 16-bit words as they lie in memory.
 */
export const TEMPLATE_IP_CHECKSUM = 20
export const TEMPLATE_IP_SUM = 24
export const TEMPLATE_CHECKSUM = 28
export const TEMPLATE_SUM = 32
/** 1: a checksum of 0 is written as 0xffff, as UDP wants it. */
export const TEMPLATE_IS_UDP = 36
/** From this packet to the next (f64). */
export const TEMPLATE_GAP = 40
/** Why there is no stamp, where there is none: the place in the list of reasons. */
export const TEMPLATE_UNSTAMPED = 48
export const TEMPLATE_BYTES = 56

/** Where in the frame, and bits of FIELD_…. */
export const FIELD_AT = 0
export const FIELD_FLAGS = 4
/** The least value, how many there are (0 for 2^32), and what comes next where they are taken in turn. */
export const FIELD_FIRST = 8
export const FIELD_COUNT = 12
export const FIELD_NEXT = 16
/** The range that a value of a round is of; which of the round's values it is stands where the next one would. */
export const FIELD_RANGE = 20
export const FIELD_BYTES = 24
export const FIELD_IS_LONG = 1
export const FIELD_IN_TURN = 2
export const FIELD_IN_IP_SUM = 4
export const FIELD_IN_SUM = 8
export const FIELD_IN_ROUND = 16

/** How far a range is along in this round, how far a step is, and the digit of the round's number that says so. */
export const RANGE_SHIFT = 0
export const RANGE_STEP = 4
export const RANGE_DIGIT = 8
/** How many digits there are. */
export const RANGE_BASE = 12
export const RANGE_BYTES = 16

/** The run that is measured, whether there is one yet, and the sequence number behind the highest that came. */
export const MEASURE_RUN = 0
export const MEASURE_HAS_RUN = 4
export const MEASURE_NEXT = 8
/** f64 from here. Distinct packets of the run; second and later copies; packets behind one with a higher number. */
export const MEASURE_RECEIVED = 16
export const MEASURE_DUPLICATES = 24
export const MEASURE_REORDERED = 32
/** So far behind that nobody knows whether they came before. */
export const MEASURE_TOO_OLD = 40
/** Packets without a stamp; with a stamp of another run; with a wrong checksum. */
export const MEASURE_OTHERS = 48
export const MEASURE_OTHER_RUNS = 56
export const MEASURE_CORRUPTED = 64
/** Bytes of what was received; clock of the first and the last packet. */
export const MEASURE_BYTES_RECEIVED = 72
export const MEASURE_FIRST = 80
export const MEASURE_LAST = 88
export const MEASURE_DELAY_SUM = 96
export const MEASURE_DELAY_LEAST = 104
export const MEASURE_DELAY_MOST = 112
/** How often each delay came (f64 each): 2^6 steps for each power of two, so a step is at most 1/64 wide. */
export const MEASURE_DELAYS = 128
export const DELAY_STEP_SHIFT = 6
export const DELAY_STEPS = 2304
/** One bit for each of the last 2^20 sequence numbers. */
export const MEASURE_SEEN = 18_560
export const SEEN_PACKETS = 0x10_0000
