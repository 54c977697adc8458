/*
 * What `npm run bench -- af-xdp` compares the engine with: receives on one queue through libxdp and drops, in bundles
 * of 64, as small as it can be.
 *
 *     af-xdp-drop INTERFACE QUEUE MAP ENTRIES spin|woken CPU
 *
 * MAP is the id of the XSKMAP of a program that is attached already. Each line on standard input is answered with the
 * packets that were received so far, the nanoseconds of CPU time, and what the kernel lost.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <linux/if_xdp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <xdp/xsk.h>

#define BUNDLE 64
#define FRAME 2048

static volatile unsigned long received;
static struct xsk_socket *xsk;

static void *answer(void *unused)
{
	char line[64];
	while (fgets(line, sizeof line, stdin)) {
		struct timespec cpu;
		struct xdp_statistics lost = {0};
		socklen_t length = sizeof lost;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
		getsockopt(xsk_socket__fd(xsk), SOL_XDP, XDP_STATISTICS, &lost, &length);
		printf("%lu %lld %llu\n", received, cpu.tv_sec * 1000000000LL + cpu.tv_nsec, lost.rx_dropped + lost.rx_ring_full);
		fflush(stdout);
	}
	exit(0);
}

static void fail(const char *what, int error)
{
	fprintf(stderr, "af-xdp-drop: %s: %s\n", what, strerror(-error));
	exit(1);
}

int main(int argc, char **argv)
{
	if (argc != 7) return 2;
	unsigned entries = atoi(argv[4]);
	int spins = strcmp(argv[5], "spin") == 0;
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[6]), &cpus);
	sched_setaffinity(0, sizeof cpus, &cpus);

	size_t bytes = (size_t)entries * FRAME;
	void *frames = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct xsk_umem *umem;
	struct xsk_ring_prod fill, transmit;
	struct xsk_ring_cons completion, receive;
	struct xsk_umem_config frame_config = { .fill_size = entries, .comp_size = entries, .frame_size = FRAME };
	int error = xsk_umem__create(&umem, frames, bytes, &fill, &completion, &frame_config);
	if (error) fail("frames", error);
	struct xsk_socket_config config = {
		.rx_size = entries, .tx_size = entries, .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_USE_NEED_WAKEUP,
	};
	error = xsk_socket__create(&xsk, argv[1], atoi(argv[2]), umem, &receive, &transmit, &config);
	if (error) fail("socket", error);
	unsigned at = 0;
	xsk_ring_prod__reserve(&fill, entries, &at);
	for (unsigned i = 0; i < entries; i++) *xsk_ring_prod__fill_addr(&fill, at++) = (__u64)i * FRAME;
	xsk_ring_prod__submit(&fill, entries);
	error = xsk_socket__update_xskmap(xsk, bpf_map_get_fd_by_id(atoi(argv[3])));
	if (error) fail("map", error);
	pthread_t thread;
	pthread_create(&thread, NULL, answer, NULL);

	struct pollfd wait = { .fd = xsk_socket__fd(xsk), .events = POLLIN };
	for (;;) {
		unsigned from, to, count = xsk_ring_cons__peek(&receive, BUNDLE, &from);
		if (count == 0) {
			if (!spins) poll(&wait, 1, 1000);
			continue;
		}
		while (xsk_ring_prod__reserve(&fill, count, &to) != count) {}
		for (unsigned i = 0; i < count; i++)
			*xsk_ring_prod__fill_addr(&fill, to++) = xsk_ring_cons__rx_desc(&receive, from++)->addr;
		xsk_ring_prod__submit(&fill, count);
		xsk_ring_cons__release(&receive, count);
		if (xsk_ring_prod__needs_wakeup(&fill)) recvfrom(wait.fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
		received += count;
	}
}
