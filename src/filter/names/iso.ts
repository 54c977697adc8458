/** Network layer protocol identifiers of ISO/IEC TR 9577. */
export const ISO_PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['clnp', 0x81],
  ['esis', 0x82],
  ['isis', 0x83],
])

/**
 * IS-IS PDU types (ISO 10589 section 9) by pcap-filter(7) word. Hellos: LAN
 * level 1 is 15, level 2 is 16, point to point is 17.
 */
export const ISIS_PDU_TYPES: ReadonlyMap<string, readonly number[]> = new Map([
  ['l1', [15, 17, 18, 24, 26]],
  ['l2', [16, 17, 20, 25, 27]],
  ['iih', [15, 16, 17]],
  ['lsp', [18, 20]],
  ['snp', [24, 25, 26, 27]],
  ['csnp', [24, 25]],
  ['psnp', [26, 27]],
])
