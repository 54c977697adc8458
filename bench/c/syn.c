/* tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct iphdr *ip = ipv4(data, end);
	struct tcphdr *tcp;

	if (!ip)
		return 0;
	tcp = ipv4_payload(ip, IPPROTO_TCP);
	if (!tcp || (void *)tcp + 14 > end)
		return 0;
	return (((__u8 *)tcp)[13] & 0x12) == 0x02;
}
