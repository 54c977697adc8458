/* udp src port 123 and greater 469 */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct iphdr *ip = ipv4(data, end);
	struct udphdr *udp;

	if (ip) {
		udp = ipv4_payload(ip, IPPROTO_UDP);
		if (!udp)
			return 0;
	} else {
		struct ipv6hdr *ip6 = ipv6(data, end);

		if (!ip6 || ip6->nexthdr != IPPROTO_UDP)
			return 0;
		udp = (void *)(ip6 + 1);
	}
	if ((void *)udp + 2 > end || udp->source != swap16(123))
		return 0;
	return end - data >= 469;
}
