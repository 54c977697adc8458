/** What a pcap file begins with; the byte order of this word is that of the whole file. */
export const MAGIC_MICROSECONDS = 0xa1b2c3d4
export const MAGIC_NANOSECONDS = 0xa1b23c4d
/** Written by the patched libpcap of Red Hat 6 (A. Kuznetsov): longer record headers. */
export const MAGIC_MODIFIED = 0xa1b2cd34
