/*
 * What the checks beside this file have in common: the headers that a C
 * programmer includes for XDP, and the counter for what is dropped. A check is
 * a function that says whether the packet matches; clang -O2 takes it into the
 * program.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;

struct count {
	__u64 packets;
	__u64 bytes;
};

/* Filled in by the benchmark: the address of a map is a relocation against this symbol. */
extern char rule_counters[];

INLINE int matches(void *data, void *end);

SEC("xdp")
int check(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct count *count;
	__u32 rule = 0;

	if (!matches(data, end))
		return XDP_PASS;
	count = bpf_map_lookup_elem(rule_counters, &rule);
	if (count) {
		count->packets += 1;
		count->bytes += end - data;
	}
	return XDP_DROP;
}

/* The IPv4 header, if the frame holds one of 20 bytes. */
INLINE struct iphdr *ipv4(void *data, void *end)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > end || eth->h_proto != swap16(ETH_P_IP))
		return NULL;
	return ip;
}

/* What follows the IPv4 header of a packet that has `protocol` and is no later fragment. */
INLINE void *ipv4_payload(struct iphdr *ip, __u8 protocol)
{
	if (ip->protocol != protocol || (ip->frag_off & swap16(0x1fff)))
		return NULL;
	return (void *)ip + ip->ihl * 4;
}

/* The IPv6 header, if the frame holds one. */
INLINE struct ipv6hdr *ipv6(void *data, void *end)
{
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > end || eth->h_proto != swap16(ETH_P_IPV6))
		return NULL;
	return ip;
}
