/**
 * What each link type can express, by the names of `tcpdump -y`. The facts are
 * those of libpcap's code generator; what the fields mean is on pcap-linktype(7).
 */
export interface LinkType {
  readonly name: string
  /**
   * How the header announces the protocol it carries: an EtherType or length
   * (`ether`), an LLC header (`llc`), an EtherType alone (`ethertype`), …;
   * `none`: not at all, so that only `link[…]` and `len` can be asked.
   */
  readonly announces: 'ether' | 'llc' | 'ethertype' | 'ppp' | 'hdlc' | 'family' | 'fixed' | 'none' | 'unknown'
  /** EtherTypes and SAPs that can occur where only a few can; null: any. */
  readonly carries: readonly number[] | null
  /** Length of a station address in bytes, `wlan` with the directions of 802.11; null: none. */
  readonly address: 'mac' | 'wlan' | 'station' | null
  /** The header says itself which way the packet went. */
  readonly hasDirection: boolean
  /** The length of the link header differs from packet to packet. */
  readonly isVariable: boolean
}

const IP = 0x0800
const IP6 = 0x86dd
const ISO = 0xfe
const APPLETALK = 0x809b

/** Groups of link types that can express the same. */
const GROUPS: readonly (Partial<Omit<LinkType, 'name'>> & { names: string; announces: LinkType['announces'] })[] = [
  { names: 'EN10MB NETANALYZER NETANALYZER_TRANSPARENT', announces: 'ether', address: 'mac' },
  { names: 'DSA_TAG_BRCM DSA_TAG_DSA', announces: 'ether', address: 'mac', hasDirection: true },
  { names: 'FDDI IEEE802 IP_OVER_FC', announces: 'llc', address: 'mac' },
  { names: 'ATM_RFC1483 ATM_CLIP SUNATM', announces: 'llc' },
  {
    names: 'IEEE802_11 IEEE802_11_RADIO IEEE802_11_RADIO_AVS PRISM_HEADER PPI',
    announces: 'llc',
    address: 'wlan',
    isVariable: true,
  },
  { names: 'LINUX_SLL', announces: 'ether', hasDirection: true },
  { names: 'LINUX_SLL2', announces: 'ethertype', hasDirection: true },
  { names: 'APPLE_IP_OVER_IEEE1394 SYMANTEC_FIREWALL', announces: 'ethertype' },
  { names: 'PPP PPP_SERIAL PPP_ETHER PPP_BSDOS', announces: 'ppp' },
  { names: 'PPP_PPPD PPP_WITH_DIR', announces: 'ppp', hasDirection: true },
  { names: 'C_HDLC HDLC', announces: 'hdlc' },
  { names: 'NULL LOOP ENC', announces: 'family', carries: [IP, IP6] },
  { names: 'PFLOG', announces: 'family', carries: [IP, IP6], hasDirection: true, isVariable: true },
  { names: 'IPNET', announces: 'family', carries: [IP, IP6], hasDirection: true },
  { names: 'RAW SLIP_BSDOS', announces: 'fixed', carries: [IP, IP6] },
  { names: 'SLIP', announces: 'fixed', carries: [IP, IP6], hasDirection: true },
  { names: 'IPV4', announces: 'fixed', carries: [IP] },
  { names: 'IPV6', announces: 'fixed', carries: [IP6] },
  { names: 'LTALK', announces: 'fixed', carries: [APPLETALK] },
  { names: 'FRELAY', announces: 'family', carries: [IP, IP6, ISO] },
  {
    names: 'ARCNET ARCNET_LINUX',
    announces: 'family',
    carries: [IP, IP6, 0x0806, 0x8035, APPLETALK],
    address: 'station',
  },
  { names: 'BACNET_MS_TP', announces: 'none', address: 'station' },
  {
    names: `JUNIPER_MFR JUNIPER_MLFR JUNIPER_MLPPP JUNIPER_ATM1 JUNIPER_ATM2 JUNIPER_PPPOE JUNIPER_PPPOE_ATM
      JUNIPER_GGSN JUNIPER_ES JUNIPER_MONITOR JUNIPER_SERVICES JUNIPER_ETHER JUNIPER_PPP JUNIPER_FRELAY
      JUNIPER_CHDLC JUNIPER_VP JUNIPER_ST JUNIPER_ISM JUNIPER_VS JUNIPER_SRX_E2E JUNIPER_FIBRECHANNEL
      JUNIPER_ATM_CEMIC`,
    announces: 'family',
    hasDirection: true,
  },
  {
    names: `A429 A653_ICM AOS ATSC_ALP AUERSWALD_LOG AX25 AX25_KISS BLUETOOTH_BREDR_BB BLUETOOTH_HCI_H4
      BLUETOOTH_HCI_H4_WITH_PHDR BLUETOOTH_LE_LL BLUETOOTH_LE_LL_WITH_PHDR BLUETOOTH_LINUX_MONITOR CAN20B
      CAN_SOCKETCAN CHAOS DBUS DEBUG_ONLY DECT DECT_NR DECT_NR_TAP DISPLAYPORT_AUX DOCSIS DOCSIS31_XRA31
      DSA_TAG_BRCM_PREPEND DSA_TAG_EDSA DVB_CI EBHSCR EDK2_MM ELEE EN3MB EPON ERF ERF_ETH ERF_POS
      ETHERNET_MPACKET ETW FC_2 FC_2_WITH_FRAME_DELIMS FIRA_UCI GPF_F GPF_T GPRS_LLC I2C_LINUX IEEE802_15_4
      IEEE802_15_4_LINUX IEEE802_15_4_NOFCS IEEE802_15_4_NONASK_PHY IEEE802_15_4_TAP IEEE802_16_MAC_CPS
      IEEE802_16_MAC_CPS_RADIO INFINIBAND IPMB_KONTRON IPMI_HPM_2 IPOIB ISO_14443 JUNIPER_PIC_PEER LINUX_EVDEV
      LINUX_IRDA LINUX_LAPD MDB MFR MPEG_2_TS MPLS MTP2 MTP2_WITH_PHDR MTP3 MUX27010 NETANALYZER_NG NETLINK
      NFC_LLCP NFLOG NG40 NORDIC_BLE OPENFLOW OPENVIZSLA PFSYNC PKTAP PROFIBUS_DL PRONET RAIF1 RDS
      REDBACK_SMARTEDGE RTAC_SERIAL SCCP SCTP SDLC SILABS_DEBUG_CHANNEL SITA STANAG_5066_D_PDU TI_LLN_SNIFFER
      USBPCAP USB_2_0 USB_2_0_FULL_SPEED USB_2_0_HIGH_SPEED USB_2_0_LOW_SPEED USB_DARWIN USB_FREEBSD USB_LINUX
      USB_LINUX_MMAPPED VPP_DISPATCH VSOCK WATTSTOPPER_DLM WIHART ZBOSS_NCP ZWAVE_R1_R2 ZWAVE_R3 ZWAVE_TAP
      Z_WAVE_SERIAL`,
    announces: 'none',
  },
]

const LINK_TYPES: ReadonlyMap<string, LinkType> = new Map(
  GROUPS.flatMap(({ names, ...group }) =>
    names
      .split(/\s+/)
      .map((name): [string, LinkType] => [
        name,
        { carries: null, address: null, hasDirection: false, isVariable: false, ...group, name },
      ]),
  ),
)

/**
 * The link type of this name. A name that is not in the table gives a link
 * type of which nothing is known, and for which nothing is refused.
 */
export function linkTypeOf(name: string): LinkType {
  const known = LINK_TYPES.get(name)
  return known ?? { name, announces: 'unknown', carries: null, address: null, hasDirection: true, isVariable: false }
}

const LLC_TYPES = new Set(
  'EN10MB DSA_TAG_BRCM DSA_TAG_DSA SUNATM IEEE802 FDDI ATM_RFC1483 IEEE802_11 IEEE802_11_RADIO IEEE802_11_RADIO_AVS PRISM_HEADER PPI'.split(
    ' ',
  ),
)
const VLAN_TYPES = new Set(
  'EN10MB NETANALYZER NETANALYZER_TRANSPARENT DSA_TAG_BRCM DSA_TAG_DSA IEEE802_11 IEEE802_11_RADIO IEEE802_11_RADIO_AVS PRISM_HEADER'.split(
    ' ',
  ),
)
const MPLS_TYPES = new Set(
  'EN10MB NETANALYZER NETANALYZER_TRANSPARENT DSA_TAG_BRCM DSA_TAG_DSA C_HDLC HDLC PPP'.split(' '),
)
const RADIO_TYPES = new Set(['IEEE802_11_RADIO', 'IEEE802_11_RADIO_AVS', 'PRISM_HEADER'])
const SS7_TYPES = new Set(['MTP2', 'MTP2_WITH_PHDR', 'ERF'])

/** What only some link types have, by the keyword that asks for it. */
export type Feature = 'llc' | 'vlan' | 'mpls' | 'radio' | 'ss7' | 'atm' | 'pf'

/** Whether the link type has the feature; one of which nothing is known has every one. */
export function hasFeature({ name, announces }: LinkType, feature: Feature): boolean {
  if (announces === 'unknown') return true
  switch (feature) {
    case 'llc':
      return LLC_TYPES.has(name)
    case 'vlan':
      return VLAN_TYPES.has(name)
    case 'mpls':
      return MPLS_TYPES.has(name)
    case 'radio':
      return RADIO_TYPES.has(name)
    case 'ss7':
      return SS7_TYPES.has(name)
    case 'atm':
      return name === 'SUNATM'
    case 'pf':
      return name === 'PFLOG'
  }
}
