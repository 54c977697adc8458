/*
 * Forwarding by the kernel's tables as one writes it in C: parse, look up,
 * count the time to live down, write both MAC addresses, redirect. It checks
 * no more than that.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)
#define AF_INET 2
#define AF_INET6 10

static long (*bpf_fib_lookup)(void *ctx, struct bpf_fib_lookup *params, int bytes, __u32 flags) =
	(void *)BPF_FUNC_fib_lookup;
static long (*bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;

/* Filled in by the benchmark: the address of a map is a relocation against this symbol. */
extern char ports[];

INLINE void count_down(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += swap16(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

SEC("xdp")
int forward(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct bpf_fib_lookup fib = {};
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct ipv6hdr *ip6 = data + sizeof(*eth);
	__u16 type;
	long answer;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	type = eth->h_proto;
	if (type == swap16(ETH_P_IP)) {
		if ((void *)(ip + 1) > end || ip->ttl <= 1)
			return XDP_PASS;
		fib.family = AF_INET;
		fib.tos = ip->tos;
		fib.l4_protocol = ip->protocol;
		fib.tot_len = swap16(ip->tot_len);
		fib.ipv4_src = ip->saddr;
		fib.ipv4_dst = ip->daddr;
	} else if (type == swap16(ETH_P_IPV6)) {
		if ((void *)(ip6 + 1) > end || ip6->hop_limit <= 1)
			return XDP_PASS;
		fib.family = AF_INET6;
		fib.flowinfo = *(__be32 *)ip6 & swap32(0x0fffffff);
		fib.l4_protocol = ip6->nexthdr;
		fib.tot_len = swap16(ip6->payload_len) + sizeof(*ip6);
		__builtin_memcpy(fib.ipv6_src, &ip6->saddr, sizeof(ip6->saddr));
		__builtin_memcpy(fib.ipv6_dst, &ip6->daddr, sizeof(ip6->daddr));
	} else {
		return XDP_PASS;
	}
	fib.ifindex = ctx->ingress_ifindex;
	answer = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (answer == BPF_FIB_LKUP_RET_BLACKHOLE)
		return XDP_DROP;
	if (answer != BPF_FIB_LKUP_RET_SUCCESS)
		return XDP_PASS;
	/* A packet for a device that is not forwarded to must stay as it came. */
	if (!bpf_map_lookup_elem(ports, &fib.ifindex))
		return XDP_PASS;
	if (type == swap16(ETH_P_IP))
		count_down(ip);
	else
		ip6->hop_limit--;
	__builtin_memcpy(eth->h_dest, fib.dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, fib.smac, ETH_ALEN);
	return bpf_redirect_map(ports, fib.ifindex, 0);
}
