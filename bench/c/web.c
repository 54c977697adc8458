/* ip and (tcp dst port 80 or tcp dst port 443) */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct iphdr *ip = ipv4(data, end);
	struct tcphdr *tcp;

	if (!ip)
		return 0;
	tcp = ipv4_payload(ip, IPPROTO_TCP);
	if (!tcp || (void *)tcp + 4 > end)
		return 0;
	return tcp->dest == swap16(80) || tcp->dest == swap16(443);
}
