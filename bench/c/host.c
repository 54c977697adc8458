/* ip host 192.0.2.7 */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct iphdr *ip = ipv4(data, end);

	return ip && (ip->saddr == swap32(0xc0000207) || ip->daddr == swap32(0xc0000207));
}
