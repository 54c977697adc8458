/**
 * What a checked filter expression says, with every name resolved and every
 * qualifier applied, so that a later room never has to read text again.
 *
 * The language is the one of pcap-filter(7), libpcap 1.10. Evaluation is left
 * to right; `vlan`, `mpls`, `pppoes` and `geneve` move the headers of every
 * primitive that stands after them in the text, so the order of operands is
 * part of the meaning.
 */

/** Half-open range of UTF-16 units in the source text. */
export interface Span {
  readonly start: number
  readonly end: number
}

export type Expression = AndExpression | OrExpression | NotExpression | Primitive

export interface AndExpression {
  readonly kind: 'and'
  readonly left: Expression
  readonly right: Expression
  readonly span: Span
}

export interface OrExpression {
  readonly kind: 'or'
  readonly left: Expression
  readonly right: Expression
  readonly span: Span
}

export interface NotExpression {
  readonly kind: 'not'
  readonly operand: Expression
  readonly span: Span
}

export type Primitive =
  | AddressPrimitive
  | AddressSetPrimitive
  | LinkAddressPrimitive
  | PortPrimitive
  | IpProtocolPrimitive
  | LinkProtocolPrimitive
  | ProtocolChainPrimitive
  | RelationPrimitive
  | EncapsulationPrimitive
  | CastPrimitive
  | GatewayPrimitive
  | DirectionPrimitive
  | InterfacePrimitive
  | IsoProtocolPrimitive
  | LlcPrimitive
  | WlanPrimitive
  | PacketFilterPrimitive
  | TelephonyPrimitive

/**
 * `source or destination` is the default; `and` is `src and dst`. The rest
 * name the address fields of an IEEE 802.11 header.
 */
export type Direction =
  | 'src'
  | 'dst'
  | 'src-or-dst'
  | 'src-and-dst'
  | 'addr1'
  | 'addr2'
  | 'addr3'
  | 'addr4'
  | 'ra'
  | 'ta'

/**
 * `host`, `net` with an IPv4 or IPv6 address. `words` and `mask` have one
 * 32-bit word for IPv4 and four for IPv6, in host order, most significant
 * first; a packet matches where `field & mask == words`. `protocol` null means
 * every protocol that carries such an address (IPv4, ARP and RARP, or IPv6).
 */
export interface AddressPrimitive {
  readonly kind: 'address'
  readonly protocol: 'ip' | 'arp' | 'rarp' | 'ip6' | null
  readonly direction: Direction
  readonly family: 4 | 6
  readonly words: readonly number[]
  readonly mask: readonly number[]
  readonly span: Span
}

/**
 * `net @name`, `host @name`: the address is in a named set of addresses and
 * prefixes, IPv4 and IPv6. It matches what a row of `net`, one for each member,
 * joined by `or`, matches in a packet that holds its addresses; `src and dst`
 * may find the two in different members. What the set holds is not said here.
 */
export interface AddressSetPrimitive {
  readonly kind: 'address-set'
  readonly protocol: 'ip' | 'arp' | 'rarp' | 'ip6' | null
  readonly direction: Direction
  /** Without the `@`. */
  readonly set: string
  readonly span: Span
}

/** `ether host`: six bytes; on ARCNET and BACnet MS/TP (`link host $0e`) one. */
export interface LinkAddressPrimitive {
  readonly kind: 'link-address'
  readonly direction: Direction
  readonly bytes: readonly number[]
  readonly span: Span
}

/**
 * `port` and `portrange` (low..high, both included). `transport` null means
 * TCP, UDP and SCTP.
 */
export interface PortPrimitive {
  readonly kind: 'port'
  readonly transport: 'tcp' | 'udp' | 'sctp' | null
  readonly direction: Direction
  readonly low: number
  readonly high: number
  readonly span: Span
}

/**
 * `tcp`, `icmp6`, `ip proto 89`, `proto 6`: the protocol number in an IP
 * header. `family` null means IPv4 and IPv6. Over IPv6 the number is also
 * looked for behind one fragment header, as libpcap does.
 */
export interface IpProtocolPrimitive {
  readonly kind: 'ip-protocol'
  readonly family: 4 | 6 | null
  readonly protocol: number
  readonly span: Span
}

/**
 * `ip`, `arp`, `ether proto 0x88cc`: the protocol the link header announces.
 * `type` is an EtherType when above 1500 and otherwise an LLC DSAP
 * (`stp` 0x42, `ipx` 0xe0, `netbeui` 0xf0, `iso` 0xfe).
 */
export interface LinkProtocolPrimitive {
  readonly kind: 'link-protocol'
  readonly type: number
  readonly span: Span
}

/** `ip protochain 6`: like `proto`, through every extension header. */
export interface ProtocolChainPrimitive {
  readonly kind: 'protocol-chain'
  readonly family: 4 | 6 | null
  readonly protocol: number
  readonly span: Span
}

export type RelationOperator = '=' | '!=' | '<' | '<=' | '>' | '>='

/** `ip[8] < 64`, also `less` and `greater`. Unsigned 32-bit comparison. */
export interface RelationPrimitive {
  readonly kind: 'relation'
  readonly operator: RelationOperator
  readonly left: Arithmetic
  readonly right: Arithmetic
  readonly span: Span
}

/** `vlan 5`, `mpls`, `pppoes 7`, `geneve`, `vxlan`: also moves what stands after it. */
export interface EncapsulationPrimitive {
  readonly kind: 'encapsulation'
  readonly type: 'vlan' | 'mpls' | 'pppoed' | 'pppoes' | 'geneve' | 'vxlan'
  /** VLAN id, MPLS label, PPPoE session or VNI; null: any. */
  readonly id: number | null
  readonly span: Span
}

/** `broadcast`, `ip multicast`, …; `layer` null is the link's. */
export interface CastPrimitive {
  readonly kind: 'cast'
  readonly cast: 'broadcast' | 'multicast'
  readonly layer: 'link' | 'ip' | 'ip6' | null
  readonly span: Span
}

/**
 * `gateway HOST`: sent by HOST's link address, not by its IP address. Only in
 * trees built by hand: `parseFilter` has the addresses and writes them out.
 */
export interface GatewayPrimitive {
  readonly kind: 'gateway'
  readonly protocol: 'ip' | 'arp' | 'rarp' | null
  readonly host: string
  readonly span: Span
}

/** `inbound`, `outbound`: which way the packet crossed the device. */
export interface DirectionPrimitive {
  readonly kind: 'direction'
  readonly direction: 'inbound' | 'outbound'
  readonly span: Span
}

/** `ifindex N`. */
export interface InterfacePrimitive {
  readonly kind: 'interface'
  readonly index: number
  readonly span: Span
}

/** `isis proto 18`, `l1`, `csnp`, `esis`, `clnp`: ISO 10589 and ISO 9542. */
export interface IsoProtocolPrimitive {
  readonly kind: 'iso-protocol'
  /** `iso`: the network layer protocol id; `isis`: the PDU types accepted. */
  readonly layer: 'iso' | 'isis'
  readonly types: readonly number[]
  readonly span: Span
}

/** `llc`, `llc i`, `llc rr`: IEEE 802.2 control field. */
export interface LlcPrimitive {
  readonly kind: 'llc'
  /** null: any LLC frame; i, s, u: the format; otherwise a control value. */
  readonly frame: 'i' | 's' | 'u' | 's-subtype' | 'u-subtype' | null
  readonly value: number
  readonly span: Span
}

/** `type mgt subtype beacon`, `dir fromds`: IEEE 802.11 frame control. */
export interface WlanPrimitive {
  readonly kind: 'wlan'
  /** Offset in the frame control field: 0 type and subtype, 1 direction. */
  readonly byte: 0 | 1
  readonly mask: number
  readonly value: number
  readonly span: Span
}

/** OpenBSD packet filter log fields: `ifname en0`, `rnr 3`, `action pass`. */
export interface PacketFilterPrimitive {
  readonly kind: 'pf'
  readonly field: 'ifname' | 'rset' | 'rnr' | 'srnr' | 'reason' | 'action'
  readonly value: string | number
  readonly span: Span
}

/** ATM and SS7 fields (`vpi 3`, `opc > 5`, `fisu`): never seen by XDP. */
export interface TelephonyPrimitive {
  readonly kind: 'telephony'
  readonly field: string
  readonly operator: RelationOperator
  readonly value: number
  readonly span: Span
}

/** Unsigned 32-bit arithmetic, wrapping. Division by zero ends in no match. */
export type Arithmetic = ConstantValue | LengthValue | BinaryValue | NegateValue | PacketValue

export interface ConstantValue {
  readonly kind: 'constant'
  readonly value: number
  readonly span: Span
}

/** `len`: bytes on the wire. */
export interface LengthValue {
  readonly kind: 'length'
  readonly span: Span
}

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '<<' | '>>'

export interface BinaryValue {
  readonly kind: 'binary'
  readonly operator: ArithmeticOperator
  readonly left: Arithmetic
  readonly right: Arithmetic
  readonly span: Span
}

export interface NegateValue {
  readonly kind: 'negate'
  readonly operand: Arithmetic
  readonly span: Span
}

/** The header that a byte access counts from. */
export type AccessBase =
  | 'link'
  | 'ip'
  | 'ip6'
  | 'arp'
  | 'rarp'
  | 'tcp'
  | 'udp'
  | 'sctp'
  | 'icmp'
  | 'icmp6'
  | 'igmp'
  | 'igrp'
  | 'pim'
  | 'vrrp'
  | 'carp'
  | 'radio'
  | 'atalk'
  | 'decnet'
  | 'lat'
  | 'moprc'
  | 'mopdl'
  | 'sca'

/**
 * `tcp[13]`, `ip[2:2]`: big-endian, 1, 2 or 4 bytes. The packet must be of
 * the base's protocol, and for what IPv4 carries, a first fragment.
 */
export interface PacketValue {
  readonly kind: 'packet'
  readonly base: AccessBase
  readonly offset: Arithmetic
  readonly size: 1 | 2 | 4
  readonly span: Span
}
