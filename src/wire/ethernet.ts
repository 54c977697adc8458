/** Ethernet II (IEEE 802.3, clause 3): destination 0, source 6, type 12, payload 14. */
export const ETHERNET = { destination: 0, source: 6, type: 12, headerBytes: 14 } as const

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const

/** Writes an Ethernet header at the start of `frame`. */
export function writeEthernet(frame: Uint8Array, destination: Uint8Array, source: Uint8Array, type: number): void {
  frame.set(destination, ETHERNET.destination)
  frame.set(source, ETHERNET.source)
  frame[ETHERNET.type] = type >>> 8
  frame[ETHERNET.type + 1] = type & 0xff
}
