import {
  alu32,
  alu64,
  type Item,
  jumpIf,
  jumpIf32,
  label,
  load,
  mov32,
  mov64,
  R1,
  R2,
  R3,
  R4,
  R6,
  R7,
  R8,
  R10,
  type Register,
  store,
  toBigEndian,
} from '../ebpf/index.js'
import { ETHERNET, ETHERTYPE, IP_PROTOCOL, IPV4 } from '../wire/index.js'
import { AF, type CountName, FIB, FLOW_BYTES, XDP_MD } from './formats.js'

/**
 * From the frame to what the look-up asks: R6 is the context, R7 the frame, R8
 * its end. What is not plain enough to be forwarded here goes to the label of
 * its reason.
 */

export const IP_AT = ETHERNET.headerBytes
/** A fragment that is not the first, or has one behind it, as a little-endian machine reads the field. */
export const IS_FRAGMENT = 0xff3f

/** The program's stack: parameters of the look-up, the IP packet's length, a key of a map, and of the flow its key, the generation, and a value. */
export const FIB_AT = -64
export const LENGTH_AT = -72
export const COUNT_KEY_AT = -80
export const FLOW_KEY_AT = -120
export const GENERATION_AT = -128
export const FLOW_AT = GENERATION_AT - FLOW_BYTES[6]

/** IPv6 (RFC 8200, section 3), offsets within the header. */
export const IPV6 = {
  payloadLength: 4,
  nextHeader: 6,
  hopLimit: 7,
  source: 8,
  destination: 24,
  headerBytes: 40,
} as const

/** The label of packets that go to the kernel for this reason. */
export function toKernel(reason: CountName): string {
  return `kernel: ${reason}`
}

/** Checks that the frame is for this device, and goes on at `IPv4` or `IPv6`. */
export function parseEthernet(mac: Uint8Array): Item[] {
  const view = new DataView(mac.buffer, mac.byteOffset, mac.byteLength)
  return [
    mov64(R6, R1),
    load('u32', R7, R6, XDP_MD.data),
    load('u32', R8, R6, XDP_MD.dataEnd),
    mov64(R2, R7),
    alu64('add', R2, IP_AT + IPV4.headerBytes),
    jumpIf(R2, '>', R8, toKernel('malformed')),
    load('u32', R2, R7, ETHERNET.destination),
    jumpIf32(R2, '!=', view.getUint32(0, true), toKernel('not for this device')),
    load('u16', R2, R7, ETHERNET.destination + 4),
    jumpIf32(R2, '!=', view.getUint16(4, true), toKernel('not for this device')),
    load('u16', R2, R7, ETHERNET.type),
    jumpIf32(R2, '==', swap16(ETHERTYPE.ipv6), 'IPv6'),
    jumpIf32(R2, '!=', swap16(ETHERTYPE.ipv4), toKernel('not IP')),
  ]
}

/** RFC 1812, 5.2.2: what a router checks of an IPv4 header. Those with options are for the kernel. */
export function checkV4(): Item[] {
  return [
    load('u8', R2, R7, IP_AT),
    jumpIf32(R2, '!=', 0x45, toKernel('options')),
    load('u8', R2, R7, IP_AT + IPV4.timeToLive),
    jumpIf32(R2, '<=', 1, toKernel('TTL')),
    load('u16', R4, R7, IP_AT + IPV4.totalLength),
    toBigEndian(16, R4),
    jumpIf32(R4, '<', IPV4.headerBytes, toKernel('malformed')),
    ...isAllThere(),
    ...sumHeader(),
    jumpIf32(R1, '!=', 0xffff, toKernel('bad checksum')),
    load('u8', R2, R7, IP_AT + IPV4.source),
    ...isUnicast(),
    load('u8', R2, R7, IP_AT + IPV4.destination),
    ...isUnicast(),
  ]
}

/** R4 bytes from the IP header on are within the frame; that many are noted. */
function isAllThere(): Item[] {
  return [
    mov64(R2, R8),
    alu64('sub', R2, R7),
    alu64('sub', R2, IP_AT),
    jumpIf(R4, '>', R2, toKernel('malformed')),
    store('u64', R10, LENGTH_AT, R4),
  ]
}

/**
 * R1 = the folded sum of the IPv4 header, in the packet's byte order, which is
 * as good (RFC 1071, section 2 (B)). Five words are below 2^35, so that after
 * two folds it is below twice 0xffff: 0xffff where the checksum is right.
 */
function sumHeader(): Item[] {
  const fold = [mov64(R2, R1), alu64('rsh', R2, 16), alu64('and', R1, 0xffff), alu64('add', R1, R2)]
  return [
    load('u32', R1, R7, IP_AT),
    ...[4, 8, 12, 16].flatMap((at) => [load('u32', R2, R7, IP_AT + at), alu64('add', R1, R2)]),
    ...fold,
    ...fold,
  ]
}

/** R2, the first byte of an IPv4 address, is none of this network's, loopback's or a group's (RFC 1812, 5.3.7). */
function isUnicast(): Item[] {
  return [
    jumpIf32(R2, '==', 127, toKernel('addresses')),
    // 0 becomes the largest number.
    alu32('sub', R2, 1),
    jumpIf32(R2, '>=', 223, toKernel('addresses')),
  ]
}

/** The same for IPv6: all that a router does not forward by its addresses or by a header that each hop reads. */
export function checkV6(): Item[] {
  return [
    mov64(R2, R7),
    alu64('add', R2, IP_AT + IPV6.headerBytes),
    jumpIf(R2, '>', R8, toKernel('malformed')),
    load('u8', R2, R7, IP_AT),
    alu32('and', R2, 0xf0),
    jumpIf32(R2, '!=', 0x60, toKernel('malformed')),
    load('u8', R2, R7, IP_AT + IPV6.hopLimit),
    jumpIf32(R2, '<=', 1, toKernel('TTL')),
    load('u8', R2, R7, IP_AT + IPV6.nextHeader),
    jumpIf32(R2, '==', 0, toKernel('options')),
    load('u16', R4, R7, IP_AT + IPV6.payloadLength),
    toBigEndian(16, R4),
    alu64('add', R4, IPV6.headerBytes),
    ...isAllThere(),
    ...isGlobal(IPV6.source),
    ...isGlobal(IPV6.destination),
  ]
}

/** No group (ff00::/8), no link's own (fe80::/10), and none that begins with 64 zeros: ::, ::1, and IPv4 in IPv6. */
function isGlobal(at: number): Item[] {
  return [
    load('u64', R1, R7, IP_AT + at),
    jumpIf(R1, '==', 0, toKernel('addresses')),
    mov32(R2, R1),
    alu32('and', R2, 0xff),
    jumpIf32(R2, '==', 0xff, toKernel('addresses')),
    alu32('and', R1, 0xc0ff),
    jumpIf32(R1, '==', 0x80fe, toKernel('addresses')),
  ]
}

/** Writes the parameters of the look-up, with the length of the packet, which the MTU is compared with. */
export function askV4(device: number): Item[] {
  return [
    ...fibHead(4, device),
    ...fibLength(),
    load('u8', R2, R7, IP_AT + IPV4.protocol),
    store('u8', R10, FIB_AT + FIB.protocol, R2),
    load('u16', R3, R7, IP_AT + IPV4.fragment),
    jumpIf32(R3, '&', IS_FRAGMENT, 'no ports 4'),
    ...ports(IPV4.headerBytes, 'no ports 4'),
    load('u8', R2, R7, IP_AT + 1),
    store('u32', R10, FIB_AT + FIB.flowInfo, R2),
    ...copyWords(IPV4.source, FIB.source, 1),
    ...copyWords(IPV4.destination, FIB.destination, 1),
  ]
}

/** The same for IPv6. */
export function askV6(device: number): Item[] {
  return [
    ...fibHead(6, device),
    ...fibLength(),
    load('u8', R2, R7, IP_AT + IPV6.nextHeader),
    store('u8', R10, FIB_AT + FIB.protocol, R2),
    ...ports(IPV6.headerBytes, 'no ports 6'),
    load('u32', R2, R7, IP_AT),
    alu32('and', R2, 0xffffff0f),
    store('u32', R10, FIB_AT + FIB.flowInfo, R2),
    ...copyWords(IPV6.source, FIB.source, 4),
    ...copyWords(IPV6.destination, FIB.destination, 4),
  ]
}

/** The parameters of the look-up for the way back to the sender, for which its ports do not count. */
export function askForSender(family: 4 | 6, device: number): Item[] {
  const { source, destination } = family === 4 ? IPV4 : IPV6
  return [
    ...fibHead(family, device),
    ...copyWords(destination, FIB.source, family === 4 ? 1 : 4),
    ...copyWords(source, FIB.destination, family === 4 ? 1 : 4),
  ]
}

function fibLength(): Item[] {
  return [load('u64', R2, R10, LENGTH_AT), store('u16', R10, FIB_AT + FIB.totalLength, R2)]
}

/** All zero but family and device: a verifier without CAP_PERFMON wants every byte written. */
function fibHead(family: 4 | 6, device: number): Item[] {
  const zeros = Array.from({ length: FIB.bytes / 8 }, (_, word) => store('u64', R10, FIB_AT + word * 8, 0))
  return [
    ...zeros,
    store('u8', R10, FIB_AT + FIB.family, AF[family]),
    store('u32', R10, FIB_AT + FIB.interfaceIndex, device),
  ]
}

/** Ports of TCP (R2 is the protocol) and UDP, for rules and for the hash over several ways; ends with the label. */
function ports(headerBytes: number, without: string): Item[] {
  const at = IP_AT + headerBytes
  return [
    jumpIf32(R2, '==', IP_PROTOCOL.udp, `${without}: some`),
    jumpIf32(R2, '!=', IP_PROTOCOL.tcp, without),
    label(`${without}: some`),
    mov64(R2, R7),
    alu64('add', R2, at + 4),
    jumpIf(R2, '>', R8, without),
    load('u16', R2, R7, at),
    store('u16', R10, FIB_AT + FIB.sourcePort, R2),
    load('u16', R2, R7, at + 2),
    store('u16', R10, FIB_AT + FIB.destinationPort, R2),
    label(without),
  ]
}

function copyWords(from: number, to: number, words: number): Item[] {
  return Array.from({ length: words }, (_, word) => [
    load('u32', R2, R7, IP_AT + from + word * 4),
    store('u32', R10, FIB_AT + to + word * 4, R2),
  ]).flat()
}

/** Time to live less one, and the checksum with it: RFC 1624, equation 3, for a change by 0x0100. */
export function countDownV4(way: string): Item[] {
  const noCarry = `no carry ${way}`
  return [
    load('u8', R1, R7, IP_AT + IPV4.timeToLive),
    alu32('sub', R1, 1),
    store('u8', R7, IP_AT + IPV4.timeToLive, R1),
    load('u16', R1, R7, IP_AT + IPV4.checksum),
    // 0x0100 as a little-endian machine reads it; a carry goes around, and 0xffff is 0.
    alu32('add', R1, 1),
    jumpIf32(R1, '<', 0xffff, noCarry),
    alu32('add', R1, 1),
    label(noCarry),
    store('u16', R7, IP_AT + IPV4.checksum, R1),
  ]
}

/** Hop limit less one; no checksum covers it. */
export function countDownV6(): Item[] {
  return [load('u8', R1, R7, IP_AT + IPV6.hopLimit), alu32('sub', R1, 1), store('u8', R7, IP_AT + IPV6.hopLimit, R1)]
}

/** Writes both MAC addresses from 12 bytes: the sender's first, which Ethernet has behind the receiver's. */
export function rewriteMacs(base: Register, at: number): Item[] {
  return [
    load('u32', R1, base, at),
    load('u32', R2, base, at + 4),
    load('u32', R3, base, at + 8),
    store('u32', R7, ETHERNET.source, R1),
    store('u16', R7, ETHERNET.source + 4, R2),
    alu64('rsh', R2, 16),
    store('u16', R7, ETHERNET.destination, R2),
    store('u32', R7, ETHERNET.destination + 2, R3),
  ]
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8)
}
