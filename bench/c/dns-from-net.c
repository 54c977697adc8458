/* ip and udp dst port 53 and src net 198.51.100.0/24 */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct iphdr *ip = ipv4(data, end);
	struct udphdr *udp;

	if (!ip)
		return 0;
	udp = ipv4_payload(ip, IPPROTO_UDP);
	if (!udp || (void *)(udp + 1) > end || udp->dest != swap16(53))
		return 0;
	return (ip->saddr & swap32(0xffffff00)) == swap32(0xc6336400);
}
