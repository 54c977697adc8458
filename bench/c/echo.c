/* icmp[icmptype] == icmp-echo */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct iphdr *ip = ipv4(data, end);
	__u8 *type;

	if (!ip)
		return 0;
	type = ipv4_payload(ip, IPPROTO_ICMP);
	return type && (void *)(type + 1) <= end && *type == 8;
}
