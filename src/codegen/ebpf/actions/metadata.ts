import {
  alu32,
  alu64,
  call,
  callLocal,
  exit,
  helperId,
  type Item,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  mov32,
  mov64,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  R7,
  R8,
  R9,
  R10,
  type Register,
  store,
} from '../../../ebpf/index.js'
import {
  METADATA_BYTES,
  METADATA_HAS_FLOW,
  METADATA_HAS_MARK,
  METADATA_HAS_VERDICT,
  METADATA_HASH,
  METADATA_MARK,
  METADATA_TRACE,
  METADATA_TYPE,
  METADATA_VALID,
  METADATA_VERDICT,
  TYPE_ARP,
  TYPE_EXTENDED,
  TYPE_FRAGMENT,
  TYPE_ICMP,
  TYPE_IPV4,
  TYPE_IPV6,
  TYPE_MOST_TAGS,
  TYPE_TAG,
  TYPE_TCP,
  TYPE_UDP,
} from '../../../memory/index.js'
import { CONTEXT, type Parts, reloadPacket, SLOT_KEY, XDP_MD } from './parts.js'

/**
 * Frame metadata before a packet that is diverted: its type, flow hash, mark
 * and rule, as memory/formats.ts lays them out and computes them. A driver that
 * keeps no metadata leaves the packet without.
 */
export function writeMetadata(parts: Parts): Item[] {
  return [
    mov64(R1, CONTEXT),
    load('u32', R2, R10, SLOT_KEY),
    callLocal(parts.useFunction('metadata', metadataFunction)),
    ...reloadPacket(),
  ]
}

/** On the stack of the function. */
const STACK = { verdict: -4, mark: -8, valid: -12, hash: -16 } as const
const MARK_BYTES = 4
const MOST_VERDICT = 255

/** EtherTypes and bits as a little-endian machine reads them. */
const ETHERTYPE = { ipv4: 0x0008, ipv6: 0xdd86, arp: 0x0608, tags: [0x0081, 0xa888] } as const
const IS_FRAGMENT = 0xff3f
const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, fragment: 44 } as const
/** TCP, UDP and SCTP begin with source and destination port. */
const WITH_PORTS = [6, 17, 132] as const
/** Factors of the flow hash, whose definition is wire/flow-hash.ts. */
const FACTOR = { golden: 0x9e3779b1, endpoint: 0x85ebca6b, protocol: 0x27d4eb2f, finish: 0xc2b2ae35 } as const
/** Hop-by-hop, routing, fragment, authentication, destination options, mobility, host identity, shim6. */
const EXTENSIONS = [0, 43, 44, 51, 60, 135, 139, 140] as const

/** void metadata(context, slot). R7 the packet, R8 its end, R9 its type. */
function metadataFunction(): Item[] {
  return [
    mov64(R6, R1),
    jumpIf(R2, '<=', MOST_VERDICT, 'small slot'),
    mov64(R2, MOST_VERDICT),
    label('small slot'),
    store('u32', R10, STACK.verdict, R2),
    store('u32', R10, STACK.hash, 0),
    store('u32', R10, STACK.mark, 0),
    store('u32', R10, STACK.valid, METADATA_HAS_FLOW | METADATA_HAS_VERDICT),
    load('u32', R7, R6, XDP_MD.data),
    load('u32', R8, R6, XDP_MD.dataEnd),
    mov64(R9, 0),
    ...findNetwork(),
    ...readIpv4(),
    ...readIpv6(),
    label('addresses'),
    ...hashFlow(),
    label('parsed'),
    ...makeRoom(),
    ...writeFields(),
    label('no room'),
    mov64(R0, 0),
    exit(),
  ]
}

/** R1 to the network header, its EtherType in R3. */
function findNetwork(): Item[] {
  const items: Item[] = [mov64(R1, R7), ...within(14), load('u16', R3, R1, 12), alu64('add', R1, 14)]
  for (let tag = 1; tag <= TYPE_MOST_TAGS; tag++) {
    items.push(
      jumpIf32(R3, '==', ETHERTYPE.tags[0], `tag ${tag}`),
      jumpIf32(R3, '!=', ETHERTYPE.tags[1], 'untagged'),
      label(`tag ${tag}`),
      ...within(4),
      load('u16', R3, R1, 2),
      alu64('add', R1, 4),
      alu64('add', R9, TYPE_TAG),
    )
  }
  return [
    ...items,
    label('untagged'),
    jumpIf32(R3, '==', ETHERTYPE.ipv6, 'ipv6'),
    jumpIf32(R3, '==', ETHERTYPE.ipv4, 'ipv4'),
    jumpIf32(R3, '!=', ETHERTYPE.arp, 'parsed'),
    alu64('or', R9, TYPE_ARP),
    jump('parsed'),
  ]
}

/** Addresses to R4 and R5, the protocol to R3, R1 to the transport header. */
function readIpv4(): Item[] {
  return [
    label('ipv4'),
    ...within(20),
    load('u8', R2, R1, 0),
    alu64('and', R2, 15),
    jumpIf(R2, '<', 5, 'parsed'),
    alu64('or', R9, TYPE_IPV4),
    jumpIf(R2, '==', 5, 'no options'),
    alu64('or', R9, TYPE_EXTENDED),
    label('no options'),
    load('u16', R0, R1, 6),
    alu64('and', R0, IS_FRAGMENT),
    jumpIf(R0, '==', 0, 'whole'),
    alu64('or', R9, TYPE_FRAGMENT),
    label('whole'),
    load('u8', R3, R1, 9),
    load('u32', R4, R1, 12),
    load('u32', R5, R1, 16),
    alu64('lsh', R2, 2),
    alu64('add', R1, R2),
    jumpIf(R3, '!=', PROTOCOL.icmp, 'addresses'),
    alu64('or', R9, TYPE_ICMP),
    jump('addresses'),
  ]
}

function readIpv6(): Item[] {
  return [
    label('ipv6'),
    ...within(40),
    alu64('or', R9, TYPE_IPV6),
    load('u8', R3, R1, 6),
    ...foldAddress(R4, 8),
    ...foldAddress(R5, 24),
    alu64('add', R1, 40),
    ...EXTENSIONS.map((number) => jumpIf(R3, '==', number, 'extended')),
    jumpIf(R3, '!=', PROTOCOL.icmpv6, 'addresses'),
    alu64('or', R9, TYPE_ICMP),
    jump('addresses'),
    label('extended'),
    alu64('or', R9, TYPE_EXTENDED),
    jumpIf(R3, '!=', PROTOCOL.fragment, 'addresses'),
    alu64('or', R9, TYPE_FRAGMENT),
  ]
}

function foldAddress(into: Register, at: number): Item[] {
  const words = [1, 2, 3].flatMap((word) => [
    alu32('mul', into, FACTOR.golden),
    load('u32', R0, R1, at + 4 * word),
    alu32('add', into, R0),
  ])
  return [load('u32', into, R1, at), ...words]
}

/** The hash of R3, R4, R5 and the ports at R1, onto the stack; TCP and UDP to the type. */
function hashFlow(): Item[] {
  return [
    jumpIf(R3, '!=', PROTOCOL.tcp, 'no tcp'),
    alu64('or', R9, TYPE_TCP),
    label('no tcp'),
    jumpIf(R3, '!=', PROTOCOL.udp, 'no udp'),
    alu64('or', R9, TYPE_UDP),
    label('no udp'),
    jumpIf(R9, '&', TYPE_FRAGMENT, 'no ports'),
    ...WITH_PORTS.map((protocol) => jumpIf(R3, '==', protocol, 'has ports')),
    jump('no ports'),
    label('has ports'),
    mov64(R2, R1),
    alu64('add', R2, 4),
    jumpIf(R2, '>', R8, 'no ports'),
    load('u16', R0, R1, 0),
    load('u16', R2, R1, 2),
    jump('mix'),
    label('no ports'),
    mov64(R0, 0),
    mov64(R2, 0),
    label('mix'),
    ...endpoint(R4, R0),
    ...endpoint(R5, R2),
    alu32('mul', R3, FACTOR.protocol),
    alu32('add', R3, R4),
    alu32('add', R3, R5),
    ...stir(R3, FACTOR.finish),
    store('u32', R10, STACK.hash, R3),
  ]
}

/** An address and its port as one word, where the address was; R1 and the port change. */
function endpoint(address: Register, port: Register): Item[] {
  return [alu32('mul', port, FACTOR.golden), alu32('add', address, port), ...stir(address, FACTOR.endpoint)]
}

function stir(word: Register, factor: number): Item[] {
  const shiftIn = (bits: number) => [mov32(R1, word), alu32('rsh', R1, bits), alu32('xor', word, R1)]
  return [...shiftIn(16), alu32('mul', word, factor), ...shiftIn(13)]
}

/** All of the metadata, where a mark may have made its own room already: it moves to the first word. */
function makeRoom(): Item[] {
  return [
    load('u32', R1, R6, XDP_MD.dataMeta),
    load('u32', R3, R6, XDP_MD.data),
    mov64(R2, -METADATA_BYTES),
    mov64(R4, R1),
    alu64('add', R4, MARK_BYTES),
    jumpIf(R4, '>', R3, 'unmarked'),
    load('u32', R0, R1, 0),
    store('u32', R10, STACK.mark, R0),
    store('u32', R10, STACK.valid, METADATA_HAS_FLOW | METADATA_HAS_VERDICT | METADATA_HAS_MARK),
    mov64(R2, MARK_BYTES - METADATA_BYTES),
    label('unmarked'),
    mov64(R1, R6),
    call(helperId('bpf_xdp_adjust_meta')),
    jumpIf(R0, '!=', 0, 'no room'),
  ]
}

function writeFields(): Item[] {
  const fromStack = (size: 'u32' | 'u8', from: number, field: number) => [
    load('u32', R2, R10, from),
    store(size, R1, field, R2),
  ]
  return [
    load('u32', R1, R6, XDP_MD.dataMeta),
    load('u32', R3, R6, XDP_MD.data),
    mov64(R2, R1),
    alu64('add', R2, METADATA_BYTES),
    jumpIf(R2, '>', R3, 'no room'),
    ...fromStack('u32', STACK.mark, METADATA_MARK),
    ...fromStack('u32', STACK.hash, METADATA_HASH),
    store('u16', R1, METADATA_TYPE, R9),
    ...fromStack('u8', STACK.verdict, METADATA_VERDICT),
    ...fromStack('u8', STACK.valid, METADATA_VALID),
    store('u32', R1, METADATA_TRACE, 0),
  ]
}

/** Goes on where `bytes` bytes from R1 on are there. */
function within(bytes: number): Item[] {
  return [mov64(R2, R1), alu64('add', R2, bytes), jumpIf(R2, '>', R8, 'parsed')]
}
