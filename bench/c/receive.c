/*
 * What `npm run bench -- receive` compares the engine with: the same receive path in C, over the same memory. Standard
 * input has the memory as the engine left it; formats.h, made from src/memory/formats.ts, says what lies where in it.
 *
 *     receive BYTES RING POOL TABLE [OFFSET LENGTH]...
 *
 * After the memory, standard input has a line for each run, `TURNS TOUCH`: restore the given pieces of the memory (ring
 * and free lists), then take everything in the ring through the path; so often. The answer is the nanoseconds without
 * the restoring, and the packets that were dropped.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "formats.h"

#define BUNDLE 64

static uint8_t *memory;
static uint32_t ring, pool, table;
/* What a device counts. */
static uint64_t received_packets, received_bytes;

#define AT(type, address) (*(type *)(memory + (address)))
#define U32(address) AT(uint32_t, address)

struct descriptor { uint32_t address, wire, captured, flags; };

static uint32_t pull(uint32_t most, struct descriptor *to)
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
		received_bytes += (to[i] = slots[(consumed + i) & mask]).wire;
	received_packets += count;
	__atomic_store_n(&U32(ring + RING_CONSUMED), consumed + count, __ATOMIC_RELEASE);
	return count;
}

/* Older half to the shared pool, under its lock. */
static void spill(uint32_t cache)
{
	uint32_t stack = U32(cache + CACHE_STACK), shared = U32(cache + CACHE_SHARED), unlocked = 0;
	while (!__atomic_compare_exchange_n(&U32(shared + SHARED_LOCK), &unlocked, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		unlocked = 0;
	uint32_t count = U32(shared + SHARED_COUNT);
	memcpy(memory + U32(shared + SHARED_STACK) + 4 * count, memory + stack, 4 * CACHE_BULK);
	U32(shared + SHARED_COUNT) = count + CACHE_BULK;
	__atomic_store_n(&U32(shared + SHARED_LOCK), 0, __ATOMIC_RELEASE);
	memmove(memory + stack, memory + stack + 4 * CACHE_BULK, 4 * (CACHE_ENTRIES - CACHE_BULK));
	U32(cache + CACHE_COUNT) = CACHE_ENTRIES - CACHE_BULK;
}

/* What the cache says of its class is read once for each run of frames of one class, as in pool.as.ts. */
static void give(const struct descriptor *descriptors, uint32_t count)
{
	for (uint32_t i = 0; i < count;) {
		uint32_t cache = pool, address = descriptors[i].address;
		while (address - U32(cache + CACHE_FRAMES) >= U32(cache + CACHE_FRAMES_BYTES)) {
			cache += CACHE_BYTES;
			if (cache == pool + FRAME_CLASSES * CACHE_BYTES)
				abort();
		}
		if (U32(cache + CACHE_COUNT) == CACHE_ENTRIES)
			spill(cache);
		uint32_t frames = U32(cache + CACHE_FRAMES), bytes = U32(cache + CACHE_FRAMES_BYTES);
		uint32_t mask = U32(cache + CACHE_FRAME_MASK), held = U32(cache + CACHE_COUNT);
		uint32_t *stack = &U32(U32(cache + CACHE_STACK));
		for (; i < count && held < CACHE_ENTRIES && descriptors[i].address - frames < bytes; i++)
			stack[held++] = descriptors[i].address & mask;
		U32(cache + CACHE_COUNT) = held;
	}
}

/* Not 0 in the highest bits of the lanes that are equal. */
static uint64_t equal(uint64_t lanes, uint64_t tags, uint64_t each)
{
	lanes ^= tags;
	return ~lanes & (lanes - each);
}

/* The table of src/codegen/sets/v4-table.ts. */
static int is_listed(uint32_t address)
{
	uint32_t shift = U32(table + TABLE_BUCKET_SHIFT);
	uint64_t found = 0;
	if (shift != 0) {
		uint32_t hash = address * TABLE_MULTIPLIER;
		uint64_t each = AT(uint64_t, table + TABLE_EACH_LANE);
		uint64_t tags = (hash & U32(table + TABLE_TAG_MASK)) * each;
		uint32_t bucket = table + TABLE_BUCKETS_AT + (hash >> shift) * 16;
		found = equal(AT(uint64_t, bucket), tags, each) | equal(AT(uint64_t, bucket + 8), tags, each);
		found &= AT(uint64_t, table + TABLE_HIGHEST_BITS);
	}
	if (U32(table + TABLE_HAS_RANGES) == 0 || found != 0)
		return found != 0;
	uint32_t entry = U32(table + TABLE_INDEX_AT + 4 * (address >> 16)), low = address & 0xffff;
	if (entry == 0)
		return 0;
	uint32_t at = table + U32(table + TABLE_WORDS_AT) + 8 * (entry >> 4), kind = entry & 15;
	if (kind == 14)
		return AT(uint8_t, at + low / 8) >> (low & 7) & 1;
	if (kind == 15) {
		uint32_t count = U32(at);
		for (at += 4; count > 1; count -= count / 2)
			if (U32(at + 4 * (count / 2)) <= (low << 16 | 0xffff))
				at += 4 * (count / 2);
		return U32(at) >> 16 <= low && low <= (U32(at) & 0xffff);
	}
	at += 8 * (low << kind >> 16);
	uint32_t one = U32(at), other = U32(at + 4);
	return (low >= one >> 16 & low <= (one & 0xffff)) | (low >= other >> 16 & low <= (other & 0xffff));
}

static int is_dropped(const struct descriptor *descriptor)
{
	const uint8_t *packet = memory + descriptor->address;
	uint16_t type;
	uint32_t source;
	if (descriptor->captured < 30)
		return 0;
	memcpy(&type, packet + 12, sizeof(type));
	if (type != 0x0008)
		return 0;
	memcpy(&source, packet + 26, sizeof(source));
	return is_listed(__builtin_bswap32(source));
}

static uint64_t receive_all(int touch)
{
	struct descriptor bundle[BUNDLE], dropped[BUNDLE];
	uint64_t drops = 0;
	for (;;) {
		uint32_t count = pull(BUNDLE, bundle), stays = 0, leaves = 0;
		if (count == 0)
			return drops;
		if (touch)
			for (uint32_t i = 0; i < count; i++)
				__builtin_prefetch(memory + bundle[i].address);
		for (uint32_t i = 0; i < count; i++) {
			struct descriptor descriptor = bundle[i];
			int drop = is_dropped(&descriptor);
			bundle[stays] = dropped[leaves] = descriptor;
			stays += !drop;
			leaves += drop;
		}
		give(dropped, leaves);
		drops += leaves;
		give(bundle, stays);
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
	if (argc < 5)
		return 2;
	size_t bytes = strtoull(argv[1], NULL, 10);
	ring = strtoul(argv[2], NULL, 10);
	pool = strtoul(argv[3], NULL, 10);
	table = strtoul(argv[4], NULL, 10);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || fread(memory, 1, bytes, stdin) != bytes)
		return 1;
	int pieces = (argc - 5) / 2;
	uint8_t **saved = calloc(pieces, sizeof(*saved));
	for (int i = 0; i < pieces; i++) {
		size_t length = strtoull(argv[6 + 2 * i], NULL, 10);
		saved[i] = malloc(length);
		memcpy(saved[i], memory + strtoull(argv[5 + 2 * i], NULL, 10), length);
	}
	unsigned turns;
	int touch;
	while (scanf("%u %d", &turns, &touch) == 2) {
		uint64_t nanoseconds = 0, drops = 0;
		while (turns-- > 0) {
			for (int i = 0; i < pieces; i++)
				memcpy(memory + strtoull(argv[5 + 2 * i], NULL, 10), saved[i], strtoull(argv[6 + 2 * i], NULL, 10));
			uint64_t begin = now();
			drops += receive_all(touch);
			nanoseconds += now() - begin;
		}
		printf("%llu %llu\n", (unsigned long long)nanoseconds, (unsigned long long)drops);
		fflush(stdout);
	}
	return 0;
}
