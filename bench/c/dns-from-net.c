/*
 * udp and dst port 53 and src net 198.51.100.0/24, as a C programmer writes it
 * for XDP: one check after the other, with a per-CPU counter for what is
 * dropped. Compiled by clang -O2 -target bpf; the peer of Sluice's own code.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <stddef.h>

#define SEC(name) __attribute__((section(name), used))
#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;

struct count {
	__u64 packets;
	__u64 bytes;
};

/* Filled in by the benchmark: the address of a map is a relocation against this symbol. */
extern char rule_counters[];

SEC("xdp")
int check(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp;
	struct count *count;
	__u32 rule = 0;

	if ((void *)(ip + 1) > end || eth->h_proto != swap16(ETH_P_IP))
		return XDP_PASS;
	if (ip->protocol != IPPROTO_UDP || (ip->frag_off & swap16(0x1fff)))
		return XDP_PASS;
	udp = (void *)ip + ip->ihl * 4;
	if ((void *)(udp + 1) > end || udp->dest != swap16(53))
		return XDP_PASS;
	if ((ip->saddr & swap32(0xffffff00)) != swap32(0xc6336400))
		return XDP_PASS;

	count = bpf_map_lookup_elem(rule_counters, &rule);
	if (count) {
		count->packets += 1;
		count->bytes += end - data;
	}
	return XDP_DROP;
}
