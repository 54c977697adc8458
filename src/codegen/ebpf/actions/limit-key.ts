import {
  alu32,
  alu64,
  type Item,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadWide,
  mov64,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R7,
  type Register,
} from '../../../ebpf/index.js'
import type { AddressKey, LimitKey } from './action.js'

/**
 * Code that finds what a limit's buckets are told apart by, in the headers of
 * an Ethernet frame behind at most two VLAN tags (IEEE 802.1Q), and mixes it
 * into a hash. Registers: R1 the frame, R7 its end, `hash` the hash so far;
 * R0 to R5 change. Packets without IPv4 or IPv6 addresses add nothing, so
 * those of one rule share a bucket.
 */
export function mixKey(key: Exclude<LimitKey, { kind: 'rule' }>, hash: Register): Item[] {
  return [
    loadWide(R5, MULTIPLIER),
    ...findNetworkHeader(),
    jumpIf32(R3, '==', IPV4, 'ipv4'),
    jumpIf32(R3, '!=', IPV6, 'keyed'),
    ...within(40),
    ...(key.kind === 'flow' ? mixFlow6(hash) : mixAddress6(key, hash)),
    jump(key.kind === 'flow' ? 'ports' : 'keyed'),
    label('ipv4'),
    ...within(20),
    ...(key.kind === 'flow' ? mixFlow4(hash) : mixAddress4(key, hash)),
    ...(key.kind === 'flow' ? [label('ports'), ...mixPorts(hash)] : []),
    label('keyed'),
  ]
}

/** The golden ratio times 2^64, odd (Knuth, "The Art of Computer Programming", volume 3, section 6.4). */
export const MULTIPLIER = 0x9e3779b97f4a7c15n

/** EtherTypes as a little-endian machine reads them. */
const IPV4 = 0x0008
const IPV6 = 0xdd86
const VLAN_TAGS = [0x0081, 0xa888] as const
const MOST_TAGS = 2

/**
 * hash = (hash ^ word) * MULTIPLIER, then the upper half into the lower one,
 * because a product's low bits know nothing of the word's high ones. R5 holds
 * the multiplier.
 */
export function mix(hash: Register, word: Register): Item[] {
  return [
    alu64('xor', hash, word),
    alu64('mul', hash, R5),
    mov64(R0, hash),
    alu64('rsh', R0, 32),
    alu64('xor', hash, R0),
  ]
}

/** R1 to the network header, its EtherType in R3. */
function findNetworkHeader(): Item[] {
  const items: Item[] = [...within(14), load('u16', R3, R1, 12), alu64('add', R1, 14)]
  for (let tag = 1; tag <= MOST_TAGS; tag++) {
    items.push(
      jumpIf32(R3, '==', VLAN_TAGS[0], `tag ${tag}`),
      jumpIf32(R3, '!=', VLAN_TAGS[1], 'untagged'),
      label(`tag ${tag}`),
      ...within(4),
      load('u16', R3, R1, 2),
      alu64('add', R1, 4),
    )
  }
  return [...items, label('untagged')]
}

/** Goes on where `bytes` bytes from R1 on are there. */
function within(bytes: number): Item[] {
  return [mov64(R2, R1), alu64('add', R2, bytes), jumpIf(R2, '>', R7, 'keyed')]
}

function mixAddress4({ kind, ipv4Bits }: AddressKey, hash: Register): Item[] {
  return [load('u32', R4, R1, kind === 'source' ? 12 : 16), ...keepBits(32, ipv4Bits), ...mix(hash, R4)]
}

function mixAddress6({ kind, ipv6Bits }: AddressKey, hash: Register): Item[] {
  const at = kind === 'source' ? 8 : 24
  const word = (offset: number, bits: number) =>
    bits <= 0 ? [] : [load('u64', R4, R1, at + offset), ...keepBits(64, bits), ...mix(hash, R4)]
  return [...word(0, ipv6Bits), ...word(8, ipv6Bits - 64)]
}

/** The first `bits` of the big-endian word in R4, which a little-endian machine has read. */
function keepBits(width: 32 | 64, bits: number): Item[] {
  if (bits >= width) return []
  if (bits <= 0) return [mov64(R4, 0)]
  let mask = 0n
  for (let bit = 0; bit < bits; bit++) mask |= 1n << BigInt((bit & ~7) + 7 - (bit & 7))
  return [loadWide(R2, mask), alu64('and', R4, R2)]
}

/** Both addresses and the protocol; R1 to the ports, or on to 'keyed' where a packet has none. */
function mixFlow4(hash: Register): Item[] {
  return [
    load('u32', R4, R1, 12),
    ...mix(hash, R4),
    load('u32', R4, R1, 16),
    ...mix(hash, R4),
    load('u8', R3, R1, 9),
    ...mix(hash, R3),
    // Only a first fragment has ports; the others of a flow share a bucket.
    load('u16', R4, R1, 6),
    jumpIf32(R4, '&', 0xff1f, 'keyed'),
    load('u8', R4, R1, 0),
    alu32('and', R4, 15),
    alu32('lsh', R4, 2),
    alu64('add', R1, R4),
  ]
}

/** Extension headers are not walked: behind one, a flow is its addresses and the header's number. */
function mixFlow6(hash: Register): Item[] {
  const words = [8, 16, 24, 32].flatMap((offset) => [load('u64', R4, R1, offset), ...mix(hash, R4)])
  return [...words, load('u8', R3, R1, 6), ...mix(hash, R3), alu64('add', R1, 40)]
}

/** TCP, UDP, DCCP, SCTP and UDP-Lite begin with source and destination port. */
const PROTOCOLS_WITH_PORTS = [6, 17, 33, 132, 136] as const

/** R1 the transport header, R3 its protocol. */
function mixPorts(hash: Register): Item[] {
  return [
    ...PROTOCOLS_WITH_PORTS.map((protocol) => jumpIf32(R3, '==', protocol, 'has ports')),
    jump('keyed'),
    label('has ports'),
    ...within(4),
    load('u32', R4, R1, 0),
    ...mix(hash, R4),
  ]
}
