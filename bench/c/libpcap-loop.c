/*
 * libpcap's own filter over packets in memory, for matcher-vs-libpcap.
 *
 * Standard input: the number of packets (u32); of each the captured and the
 * wire length (u32, u32); then their bytes, one packet behind the other. All in
 * the machine's byte order. Then lines:
 *
 *     f EXPRESSION   compile it for Ethernet; answers "ok", or "no REASON"
 *     r TIMES        filter all packets so often; answers "NANOSECONDS MATCHES",
 *                    the time in all and the matches of one time
 */
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint32_t count;
static struct pcap_pkthdr *headers;
static const u_char **frames;

static void *need(void *memory)
{
	if (memory == NULL)
		exit(1);
	return memory;
}

static uint32_t read_word(void)
{
	uint32_t word;

	if (fread(&word, sizeof(word), 1, stdin) != 1)
		exit(1);
	return word;
}

static void read_packets(void)
{
	size_t total = 0;
	u_char *bytes;

	count = read_word();
	headers = need(calloc(count, sizeof(*headers)));
	frames = need(calloc(count, sizeof(*frames)));
	for (uint32_t i = 0; i < count; i++) {
		headers[i].caplen = read_word();
		headers[i].len = read_word();
		total += headers[i].caplen;
	}
	bytes = need(malloc(total));
	if (fread(bytes, 1, total, stdin) != total)
		exit(1);
	for (uint32_t i = 0; i < count; i++) {
		frames[i] = bytes;
		bytes += headers[i].caplen;
	}
}

static void run(const struct bpf_program *program, long times)
{
	struct timespec start, stop;
	uint64_t matches = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (long time = 0; time < times; time++)
		for (uint32_t i = 0; i < count; i++)
			matches += pcap_offline_filter(program, &headers[i], frames[i]) != 0;
	clock_gettime(CLOCK_MONOTONIC, &stop);
	printf("%lld %llu\n",
	       (stop.tv_sec - start.tv_sec) * 1000000000LL + (stop.tv_nsec - start.tv_nsec),
	       (unsigned long long)(matches / times));
}

int main(void)
{
	char line[65536];
	struct bpf_program program;
	pcap_t *pcap = need(pcap_open_dead(DLT_EN10MB, 262144));

	read_packets();
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == 'r')
			run(&program, atol(line + 2));
		else if (pcap_compile(pcap, &program, line + 2, 1, 0) == 0)
			printf("ok\n");
		else
			printf("no %s\n", pcap_geterr(pcap));
		fflush(stdout);
	}
	return 0;
}
