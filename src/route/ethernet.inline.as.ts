/** Of a packet's Ethernet header (IEEE 802.3, 3.1.1). */

export const ETHERNET_BYTES: u32 = 14
/** EtherType, and two bytes more. */
export const TYPES: usize = 12
/** EtherTypes as they are loaded. */
export const ETHERTYPE_IPV4: u32 = 0x0008
export const ETHERTYPE_IPV6: u32 = 0xdd86
