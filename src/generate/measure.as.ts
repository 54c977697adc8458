import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
} from '../memory/formats'
import {
  DELAY_STEP_SHIFT,
  DELAY_STEPS,
  MEASURE_BYTES_RECEIVED,
  MEASURE_CORRUPTED,
  MEASURE_DELAY_LEAST,
  MEASURE_DELAY_MOST,
  MEASURE_DELAY_SUM,
  MEASURE_DELAYS,
  MEASURE_DUPLICATES,
  MEASURE_FIRST,
  MEASURE_HAS_RUN,
  MEASURE_LAST,
  MEASURE_NEXT,
  MEASURE_OTHER_RUNS,
  MEASURE_OTHERS,
  MEASURE_RECEIVED,
  MEASURE_REORDERED,
  MEASURE_RUN,
  MEASURE_SEEN,
  MEASURE_TOO_OLD,
  SEEN_PACKETS,
  STAMP_BYTES,
  STAMP_MAGIC,
  STAMP_MAGIC_WORD,
  STAMP_RUN,
  STAMP_SEQUENCE,
  STAMP_TIME,
} from './formats'

const WINDOW: u32 = SEEN_PACKETS
const TYPE_VLAN: u32 = 0x0081
const TYPE_VLAN_SERVICE: u32 = 0xa888
const TYPE_IPV4: u32 = 0x0008
const TYPE_IPV6: u32 = 0xdd86
const PROTOCOL_ICMP: u32 = 1
const PROTOCOL_TCP: u32 = 6
const PROTOCOL_UDP: u32 = 17
const PROTOCOL_ICMP6: u32 = 58

/** Looks at the stamp of each packet of the bundle, at clock `now`; the bundle stays as it is. */
export function measure(state: u32, bundle: u32, now: f64): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const stamp = findStamp(packet, packet + load<u32>(at, DESCRIPTOR_CAPTURED))
    if (stamp === 0) add(state, MEASURE_OTHERS, 1)
    else if (stamp === CORRUPTED) add(state, MEASURE_CORRUPTED, 1)
    else if (isOfRun(state, stamp)) take(state, stamp, load<u32>(at, DESCRIPTOR_WIRE), now)
    else add(state, MEASURE_OTHER_RUNS, 1)
  }
}

/** How many packets of the bundle have a stamp, right or wrong. */
export function countStamped(bundle: u32): u32 {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let count: u32 = 0
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    if (findStamp(packet, packet + load<u32>(at, DESCRIPTOR_CAPTURED)) !== 0) count++
  }
  return count
}

const CORRUPTED: u32 = 1

/** Where the payload's stamp is: 0 where there is none, CORRUPTED where a checksum is wrong. */
function findStamp(packet: u32, end: u32): u32 {
  let at = packet + 12
  while (at + 6 < end && (load<u16>(at) === TYPE_VLAN || load<u16>(at) === TYPE_VLAN_SERVICE)) at += 4
  const type: u32 = at + 2 < end ? load<u16>(at) : 0
  const ip = at + 2
  if (type === TYPE_IPV4 && ip + 20 <= end) return stampOfIpv4(ip, end)
  if (type !== TYPE_IPV6 || ip + 40 > end) return 0
  const length: u32 = bswap<u16>(load<u16>(ip, 4))
  const protocol: u32 = load<u8>(ip, 6)
  return ip + 40 + length > end ? 0 : stampOf(ip + 40, length, protocol, words(ip + 8, 32))
}

function stampOfIpv4(ip: u32, end: u32): u32 {
  const header = (<u32>(load<u8>(ip) & 15)) << 2
  const total: u32 = bswap<u16>(load<u16>(ip, 2))
  const isFragment = (load<u16>(ip, 6) & 0xff3f) !== 0
  if (header < 20 || total < header || ip + total > end || isFragment) return 0
  const stamp = stampOf(ip + header, total - header, load<u8>(ip, 9), words(ip + 12, 8))
  return stamp !== 0 && !isSound(words(ip, header)) ? CORRUPTED : stamp
}

/** `length` bytes of transport at `at`; `pseudo` is the sum of the addresses. */
function stampOf(at: u32, length: u32, protocol: u32, pseudo: u64): u32 {
  const header = headerOf(at, length, protocol)
  const stamp = at + header
  if (header === 0 || header + STAMP_BYTES > length || load<u32>(stamp, STAMP_MAGIC) !== STAMP_MAGIC_WORD) return 0
  if (protocol === PROTOCOL_UDP && load<u16>(at, 6) === 0) return stamp
  const addresses =
    protocol === PROTOCOL_ICMP ? 0 : pseudo + <u64>bswap<u16>(<u16>protocol) + <u64>bswap<u16>(<u16>length)
  return isSound(addresses + words(at, length)) ? stamp : CORRUPTED
}

/** Bytes of the transport's header; 0 for a protocol without stamps, and of ICMP for all but echo and its answer. */
function headerOf(at: u32, length: u32, protocol: u32): u32 {
  if (length < 8) return 0
  if (protocol === PROTOCOL_UDP) return 8
  if (protocol === PROTOCOL_TCP) return length < 20 ? 0 : (<u32>load<u8>(at, 12) >> 4) << 2
  const type: u32 = load<u8>(at)
  if (protocol === PROTOCOL_ICMP) return type === 8 || type === 0 ? 8 : 0
  return protocol === PROTOCOL_ICMP6 && (type === 128 || type === 129) ? 8 : 0
}

/** The sum of 16-bit words as they lie in memory; an odd last byte counts as the first of a word. */
function words(from: u32, length: u32): u64 {
  let sum: u64 = 0
  let at = from
  const end = from + length
  for (; at + 8 <= end; at += 8) {
    const word = load<u64>(at)
    sum += (word & 0xffffffff) + (word >> 32)
  }
  for (; at + 2 <= end; at += 2) sum += load<u16>(at)
  return at < end ? sum + load<u8>(at) : sum
}

function isSound(sum: u64): bool {
  let folded = (sum >> 32) + (sum & 0xffffffff)
  folded = (folded >> 16) + (folded & 0xffff)
  folded = (folded >> 16) + (folded & 0xffff)
  folded = (folded >> 16) + (folded & 0xffff)
  return folded === 0xffff
}

/** The first run that is seen is the one that is measured. */
function isOfRun(state: u32, stamp: u32): bool {
  const run: u32 = load<u16>(stamp, STAMP_RUN)
  if (load<u32>(state, MEASURE_HAS_RUN) !== 0) return load<u32>(state, MEASURE_RUN) === run
  store<u32>(state, run, MEASURE_RUN)
  store<u32>(state, 1, MEASURE_HAS_RUN)
  return true
}

function take(state: u32, stamp: u32, bytes: u32, now: f64): void {
  const sequence = load<u32>(stamp, STAMP_SEQUENCE)
  const next = load<u32>(state, MEASURE_NEXT)
  if (sequence >= next) advance(state, next, sequence)
  else if (next - sequence > WINDOW) {
    add(state, MEASURE_TOO_OLD, 1)
    return
  }
  const byte = state + MEASURE_SEEN + ((sequence & (WINDOW - 1)) >> 3)
  const bit: u8 = 1 << (<u8>sequence & 7)
  const seen = load<u8>(byte)
  if ((seen & bit) !== 0) {
    add(state, MEASURE_DUPLICATES, 1)
    return
  }
  store<u8>(byte, seen | bit)
  // RFC 4737, section 3.3: smaller than the next expected one.
  if (sequence < next) add(state, MEASURE_REORDERED, 1)
  if (load<f64>(state, MEASURE_RECEIVED) === 0) store<f64>(state, now, MEASURE_FIRST)
  store<f64>(state, now, MEASURE_LAST)
  add(state, MEASURE_RECEIVED, 1)
  add(state, MEASURE_BYTES_RECEIVED, <f64>bytes)
  delay(state, max<f64>(0, now - <f64>load<u64>(stamp, STAMP_TIME)))
}

/** Forgets what the numbers from `next` to `sequence` meant a window ago. */
function advance(state: u32, next: u32, sequence: u32): void {
  store<u32>(state, sequence + 1, MEASURE_NEXT)
  if (sequence - next >= WINDOW) {
    memory.fill(state + MEASURE_SEEN, 0, WINDOW >> 3)
    return
  }
  for (let number = next; number <= sequence; number++) {
    const byte = state + MEASURE_SEEN + ((number & (WINDOW - 1)) >> 3)
    store<u8>(byte, load<u8>(byte) & ~((<u8>1) << (<u8>number & 7)))
  }
}

function delay(state: u32, nanoseconds: f64): void {
  add(state, MEASURE_DELAY_SUM, nanoseconds)
  const least = load<f64>(state, MEASURE_DELAY_LEAST)
  if (load<f64>(state, MEASURE_RECEIVED) === 1 || nanoseconds < least) {
    store<f64>(state, nanoseconds, MEASURE_DELAY_LEAST)
  }
  if (nanoseconds > load<f64>(state, MEASURE_DELAY_MOST)) store<f64>(state, nanoseconds, MEASURE_DELAY_MOST)
  add(state + (delayStep(<u64>nanoseconds) << 3), MEASURE_DELAYS, 1)
}

/** Below 64 a step each; above, the leading bit says which row and the 6 bits behind it which step. */
function delayStep(nanoseconds: u64): u32 {
  if (nanoseconds < 1 << DELAY_STEP_SHIFT) return <u32>nanoseconds
  const shift = 63 - DELAY_STEP_SHIFT - <u32>clz<u64>(nanoseconds)
  const step = (shift << DELAY_STEP_SHIFT) + <u32>(nanoseconds >> shift)
  return min<u32>(step, DELAY_STEPS - 1)
}

function add(state: u32, field: u32, number: f64): void {
  store<f64>(state + field, load<f64>(state + field) + number)
}
