/* ip and udp dst portrange 33434-33523 */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct iphdr *ip = ipv4(data, end);
	struct udphdr *udp;
	__u16 port;

	if (!ip)
		return 0;
	udp = ipv4_payload(ip, IPPROTO_UDP);
	if (!udp || (void *)(udp + 1) > end)
		return 0;
	port = swap16(udp->dest);
	return port >= 33434 && port <= 33523;
}
