/* ip src net 10.0.0.0/8 */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct iphdr *ip = ipv4(data, end);

	return ip && (ip->saddr & swap32(0xff000000)) == swap32(0x0a000000);
}
