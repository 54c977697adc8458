/*
 * What `npm run bench -- route` compares the engine with: the same router in C, over the same memory. Standard input has
 * the memory as the engine left it; formats.h, made from src/memory/formats.ts and src/route/formats.ts, says what lies
 * where in it.
 *
 *     route BYTES FROM TO TABLES PORT [OFFSET LENGTH]...
 *
 * After the memory, standard input has a line for each run, `TURNS TOUCH`: restore the given pieces of the memory (the
 * rings), then take everything in the first ring through the router into the second; so often. TOUCH fetches headers
 * ahead. The look-ups of a bundle come first, as the engine has them. The answer is the nanoseconds without the
 * restoring, the packets that went on in the last turn, and the sum of what was written over their time to live and
 * checksum.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "formats.h"

#define BUNDLE 64
/* A packet's time to live lasts that long. */
#define MOST_TURNS 250

static uint8_t *memory;
static uint32_t from, to, tables, port;
/* What the devices count. */
static uint64_t received_packets, received_bytes, sent_packets, sent_bytes, drops;

#define AT(type, address) (*(type *)(memory + (address)))
#define U32(address) AT(uint32_t, address)

struct descriptor { uint32_t address, wire, captured, flags; };

static uint32_t pull(uint32_t ring, uint32_t most, struct descriptor *into)
{
	uint32_t mask = U32(ring + RING_CONSUMER_MASK);
	uint32_t consumed = U32(ring + RING_CONSUMED);
	uint32_t there = U32(ring + RING_SEEN_PRODUCED) - consumed;
	if (there < most) {
		uint32_t produced = __atomic_load_n(&U32(ring + RING_PRODUCED), __ATOMIC_ACQUIRE);
		U32(ring + RING_SEEN_PRODUCED) = produced;
		there = produced - consumed;
	}
	uint32_t count = there < most ? there : most;
	const struct descriptor *slots = &AT(struct descriptor, ring + RING_SLOTS);
	for (uint32_t i = 0; i < count; i++)
		received_bytes += (into[i] = slots[(consumed + i) & mask]).wire;
	received_packets += count;
	__atomic_store_n(&U32(ring + RING_CONSUMED), consumed + count, __ATOMIC_RELEASE);
	return count;
}

static void push(uint32_t ring, const struct descriptor *descriptors, uint32_t count)
{
	uint32_t mask = U32(ring + RING_PRODUCER_MASK);
	uint32_t produced = U32(ring + RING_PRODUCED);
	uint32_t free = mask + 1 - (produced - U32(ring + RING_SEEN_CONSUMED));
	if (free < count) {
		uint32_t consumed = __atomic_load_n(&U32(ring + RING_CONSUMED), __ATOMIC_ACQUIRE);
		U32(ring + RING_SEEN_CONSUMED) = consumed;
		free = mask + 1 - (produced - consumed);
	}
	if (count > free) {
		drops += count - free;
		count = free;
	}
	struct descriptor *slots = &AT(struct descriptor, ring + RING_SLOTS);
	for (uint32_t i = 0; i < count; i++)
		sent_bytes += (slots[(produced + i) & mask] = descriptors[i]).wire;
	sent_packets += count;
	__atomic_store_n(&U32(ring + RING_PRODUCED), produced + count, __ATOMIC_RELEASE);
}

static uint32_t word(const uint8_t *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t look_up(uint32_t fib, uint32_t address)
{
	uint32_t shift = U32(fib + FIB_ROOT_SHIFT);
	uint32_t entry = U32(U32(fib + FIB_ROOT) + (address >> shift) * 4);
	while (entry & ENTRY_NODE) {
		shift -= NODE_BITS;
		entry = U32((entry << NODE_SHIFT) + (address >> shift & 255) * 4);
	}
	return entry;
}

/* Times the inverse of 65535 modulo 2^64: at most 2^64 / 65535 where 65535 divides the sum, as in forward-usual.inline.as.ts. */
static int is_right(uint64_t sum)
{
	return sum * 0xfffefffefffeffff <= 0x0001000100010001;
}

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

static bytes16 load16(const uint8_t *at)
{
	bytes16 value;
	memcpy(&value, at, sizeof(value));
	return value;
}

/* Whether the packet goes on, rewritten; everything else is dropped here. */
static int forward(const struct descriptor *descriptor, uint32_t leaf)
{
	/* As in src/route/forward.ts. */
	static const bytes16 own_where = { 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 255, 255, 0 };
	static const bytes16 least = { 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0 };
	static const bytes16 spread = { 255, 255, 255, 255, 253, 255, 255, 255, 222, 255, 255, 255, 222, 255, 255, 255 };
	static const bytes16 barred = { 0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 0, 127, 0, 0, 0 };
	static const bytes16 barred_where = { 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0 };
	uint8_t *packet = memory + descriptor->address;
	bytes16 begin = load16(packet), header = load16(packet + 18);
	bytes16 wrong = (begin ^ load16(memory + port)) & own_where;
	wrong |= (bytes16)((bytes16)(header - least) > spread) | ((bytes16)(header == barred) & barred_where);
	halves both = (halves)wrong;
	if ((both[0] | both[1]) != 0)
		return 0;
	uint32_t live = word(packet + 22);
	if (!is_right((uint64_t)word(packet + 14) + word(packet + 18) + live + word(packet + 26) + word(packet + 30)))
		return 0;
	uint32_t total = packet[16] << 8 | packet[17];
	uint32_t line = U32(tables + TABLES_HOPS) + (leaf & ENTRY_HOP_MASK) * HOP_BYTES, way = U32(line + HOP_WAY);
	if (total < 20 || total + 14 > descriptor->captured)
		return 0;
	if (way < ((uint32_t)KIND_FORWARD << WAY_KIND_SHIFT | total << WAY_MTU_SHIFT))
		return 0;
	if (U32(port + PORT_SETTINGS) != PORT_FORWARDS)
		return 0;
	live += 0xffff + ((live >= 0xfffe0000) << 16);
	memcpy(packet + 22, &live, sizeof(live));
	memcpy(packet, memory + line + HOP_ADDRESSES, 12);
	return 1;
}

static uint32_t route_all(int touch)
{
	struct descriptor bundle[BUNDLE], out[BUNDLE];
	uint32_t leaves[BUNDLE], went = 0;
	for (;;) {
		uint32_t count = pull(from, BUNDLE, bundle), kept = 0;
		if (count == 0)
			return went;
		if (touch)
			for (uint32_t i = 0; i < count; i++)
				__builtin_prefetch(memory + bundle[i].address);
		for (uint32_t i = 0; i < count; i++)
			leaves[i] = look_up(tables + TABLES_V4, __builtin_bswap32(word(memory + bundle[i].address + 30)));
		for (uint32_t i = 0; i < count; i++) {
			out[kept] = bundle[i];
			kept += forward(&bundle[i], leaves[i]);
		}
		drops += count - kept;
		push(to, out, kept);
		went += kept;
	}
}

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	size_t bytes = strtoull(argv[1], NULL, 10);
	from = strtoul(argv[2], NULL, 10);
	to = strtoul(argv[3], NULL, 10);
	tables = strtoul(argv[4], NULL, 10);
	port = strtoul(argv[5], NULL, 10);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* As the engine's memory has it. */
	if (memory != MAP_FAILED)
		madvise(memory, bytes, MADV_HUGEPAGE);
	if (memory == MAP_FAILED || fread(memory, 1, bytes, stdin) != bytes)
		return 1;
	int pieces = (argc - 6) / 2;
	uint8_t **saved = calloc(pieces, sizeof(*saved));
	for (int i = 0; i < pieces; i++) {
		size_t length = strtoull(argv[7 + 2 * i], NULL, 10);
		saved[i] = malloc(length);
		memcpy(saved[i], memory + strtoull(argv[6 + 2 * i], NULL, 10), length);
	}
	uint32_t packets = U32(from + RING_PRODUCED) - U32(from + RING_CONSUMED);
	const struct descriptor *slots = &AT(struct descriptor, from + RING_SLOTS);
	uint32_t *addresses = calloc(packets, sizeof(*addresses)), *lives = calloc(packets, sizeof(*lives));
	for (uint32_t i = 0; i < packets; i++) {
		addresses[i] = slots[i].address;
		lives[i] = word(memory + addresses[i] + 22);
	}
	unsigned turns, all = 0;
	int touch;
	while (scanf("%u %d", &turns, &touch) == 2) {
		uint64_t nanoseconds = 0;
		uint32_t went = 0, sum = 0;
		while (turns-- > 0) {
			for (int i = 0; i < pieces; i++)
				memcpy(memory + strtoull(argv[6 + 2 * i], NULL, 10), saved[i], strtoull(argv[7 + 2 * i], NULL, 10));
			if (all++ % MOST_TURNS == 0)
				for (uint32_t i = 0; i < packets; i++)
					memcpy(memory + addresses[i] + 22, &lives[i], sizeof(lives[i]));
			uint64_t begin = now();
			went = route_all(touch);
			nanoseconds += now() - begin;
		}
		for (uint32_t i = 0; i < packets; i++)
			sum += word(memory + addresses[i] + 22);
		printf("%llu %u %u\n", (unsigned long long)nanoseconds, went, sum);
		fflush(stdout);
	}
	return 0;
}
