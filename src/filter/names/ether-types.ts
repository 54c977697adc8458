/**
 * What a link header announces: EtherTypes (IEEE registration authority) and,
 * below 1501, IEEE 802.2 service access points.
 */
export const ETHER_TYPES: ReadonlyMap<string, number> = new Map([
  ['ip', 0x0800],
  ['arp', 0x0806],
  ['decnet', 0x6003],
  ['mopdl', 0x6001],
  ['moprc', 0x6002],
  ['lat', 0x6004],
  ['sca', 0x6007],
  ['rarp', 0x8035],
  ['atalk', 0x809b],
  ['aarp', 0x80f3],
  ['ip6', 0x86dd],
  ['slow', 0x8809],
  ['lldp', 0x88cc],
  ['loopback', 0x9000],
  ['trill', 0x22f3],
  ['profinet', 0x8892],
  ['ethercat', 0x88a4],
  ['goose', 0x88b8],
  ['sv', 0x88ba],
  ['macsec', 0x88e5],
  ['eapol', 0x888e],
  ['wol', 0x0842],
  ['ptp', 0x88f7],
  ['fcoe', 0x8906],
  ['fip', 0x8914],
  ['roce', 0x8915],
  ['batman', 0x4305],
])

/** Destination service access points (IEEE 802.2, ISO 9577). */
export const LLC_SAPS: ReadonlyMap<string, number> = new Map([
  ['stp', 0x42],
  ['ipx', 0xe0],
  ['netbeui', 0xf0],
  ['iso', 0xfe],
])

/** EtherTypes that this room needs by name. */
export const IP = 0x0800
export const IP6 = 0x86dd
export const ARP = 0x0806
export const RARP = 0x8035
export const DECNET = 0x6003
