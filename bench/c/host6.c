/* ip6 src host 2001:db8::53 */
#include "check.h"

INLINE int matches(void *data, void *end)
{
	struct ipv6hdr *ip = ipv6(data, end);
	__u32 *source;

	if (!ip)
		return 0;
	source = ip->saddr.in6_u.u6_addr32;
	return source[0] == swap32(0x20010db8) && !source[1] && !source[2] && source[3] == swap32(0x53);
}
