/* ip[6:2] & 0x3fff != 0 */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct iphdr *ip = ipv4(data, end);

	return ip && (ip->frag_off & swap16(0x3fff)) != 0;
}
