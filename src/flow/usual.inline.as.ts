import {
  BUCKET_REFERENCES,
  FLOW_BYTES,
  FLOW_DEADLINE,
  FLOW_KEYS,
  FLOW_LAST_ACKNOWLEDGED,
  FLOW_LAST_DIRECTION,
  FLOW_LAST_END,
  FLOW_LAST_KIND,
  FLOW_LAST_SEQUENCE,
  FLOW_LAST_WINDOW,
  FLOW_RETRANSMITTED,
  FLOW_SCALES,
  FLOW_SIDES,
  FLOW_STATE,
  FLOW_STATUS,
  FLOW_WINDOWS,
  FLOWS_CLOCK,
  FLOWS_MOST_RETRANSMITTED,
  FLOWS_PACKET,
  FLOWS_RECORDS,
  FLOWS_SETTINGS,
  FLOWS_TIMEOUTS,
  KEY_BYTES,
  KIND_ACK,
  PACKET_DIRECTION,
  PACKET_FLOW,
  SETTING_CHECKSUMS,
  STATE_ESTABLISHED,
  STATE_UDP_STREAM,
  STATUS_ASSURED,
  STATUS_REPLIED,
  TIMEOUT_RETRANSMITTED,
  TIMEOUT_UNACKNOWLEDGED,
  VERDICT_ESTABLISHED,
  WINDOW_ACKNOWLEDGED,
  WINDOW_BYTES,
  WINDOW_END,
  WINDOW_MOST_END,
  WINDOW_SIZE,
} from './formats'
import { hashWords } from './hash.inline.as'
import { isSumRight, PROTOCOL_TCP, PROTOCOL_UDP } from './packet.inline.as'
import { firstBucket, slotsOf, tagOf } from './table.inline.as'
import {
  isAfter,
  isBefore,
  LEAST_ACK_WINDOW,
  SIDE_ACKNOWLEDGES,
  SIDE_LIBERAL,
  SIDE_SACK,
  SIDE_UNACKNOWLEDGED,
} from './tcp-window.inline.as'

/** The packet is not a usual one, and nothing has been changed. */
export const NOT_USUAL: u32 = 0xffffffff

/** EtherType, version and header length as they are loaded: IPv4 without options. */
const PLAIN_MASK: u32 = 0xffffff
const PLAIN_IPV4: u32 = 0x450008
const IS_FRAGMENT: u32 = 0xff3f
const SHORTEST: u32 = 42
const HEADERS_BYTES: u32 = 28
/** Offsets from the packet's first byte: Ethernet, IPv4 without options, then UDP or TCP. */
const TOTAL: usize = 16
const FRAGMENT: usize = 20
const PROTOCOL: usize = 23
const ADDRESSES: usize = 26
const TRANSPORT: usize = 34
const UDP_LENGTH: usize = 38
const TCP_SEQUENCE: usize = 38
const TCP_ACKNOWLEDGED: usize = 42
const TCP_OFFSET: usize = 46
const TCP_FLAGS: usize = 47
const TCP_WINDOW: usize = 48
const TCP_OPTIONS: usize = 54
/** FIN, SYN, RST, ACK and URG, of which a usual segment has ACK alone. */
const JUDGED_FLAGS: u32 = 0x37
const ONLY_ACK: u32 = 0x10
/** Options that are timestamps alone, aligned as everybody does (RFC 7323, appendix A). */
const TIMESTAMPS: u32 = 0x0a080101

/**
 * What `judgePacket` says and does, for the packets that most are: IPv4 without
 * options, UDP or an acknowledgement of TCP in its windows, of a flow that has
 * been answered and stands in the first bucket. All others, and whatever else
 * is to be said of one, are `judgePacket`'s: NOT_USUAL.
 */
export function judgeUsual(flows: u32, packet: u32, captured: u32): u32 {
  const total = <u32>bswap<u16>(load<u16>(packet, TOTAL))
  const protocol = <u32>load<u8>(packet, PROTOCOL)
  if (
    (load<u32>(packet, 12) & PLAIN_MASK) !== PLAIN_IPV4 ||
    captured < SHORTEST ||
    total < HEADERS_BYTES ||
    total + 14 > captured ||
    (<u32>load<u16>(packet, FRAGMENT) & IS_FRAGMENT) !== 0 ||
    (protocol !== PROTOCOL_UDP && protocol !== PROTOCOL_TCP) ||
    (load<u32>(flows, FLOWS_SETTINGS) & SETTING_CHECKSUMS) !== 0 ||
    !isSumRight(packet + 14)
  ) {
    return NOT_USUAL
  }
  const one = load<u64>(packet, ADDRESSES)
  const two = <u64>load<u32>(packet, TRANSPORT) | ((<u64>(protocol | 0x400)) << 32)
  const hash = hashWords(flows, one, two)
  const bucket = firstBucket(flows, hash)
  const slots = slotsOf(bucket, tagOf(hash))
  if (slots === 0) return NOT_USUAL
  const reference = load<u32>(bucket + (ctz<u32>(slots) << 2), BUCKET_REFERENCES)
  const direction = reference & 1
  const flow = load<u32>(flows, FLOWS_RECORDS) + (reference >> 1) * FLOW_BYTES
  const key = flow + direction * KEY_BYTES
  const clock = load<u32>(flows, FLOWS_CLOCK)
  if (
    ((load<u64>(key, FLOW_KEYS) ^ one) | (load<u64>(key, FLOW_KEYS + 8) ^ two)) !== 0 ||
    load<u32>(flow, FLOW_DEADLINE) < clock ||
    (<u32>load<u16>(flow, FLOW_STATUS) & STATUS_REPLIED) === 0
  ) {
    return NOT_USUAL
  }
  if (protocol === PROTOCOL_TCP) {
    if (!takeAck(flows, flow, direction, packet, total, clock)) return NOT_USUAL
  } else {
    const length = <u32>bswap<u16>(load<u16>(packet, UDP_LENGTH))
    const state = <u32>load<u8>(flow, FLOW_STATE)
    // A flow that is old enough becomes a stream.
    if (
      length < 8 ||
      length + 20 > total ||
      (state !== STATE_UDP_STREAM && clock > load<u32>(flow, FLOW_LAST_SEQUENCE))
    ) {
      return NOT_USUAL
    }
    store<u32>(flow, clock + load<u32>(flows + (state << 2), FLOWS_TIMEOUTS), FLOW_DEADLINE)
  }
  store<u32>(flows, flow, FLOWS_PACKET + PACKET_FLOW)
  store<u32>(flows, direction, FLOWS_PACKET + PACKET_DIRECTION)
  return VERDICT_ESTABLISHED
}

/** An acknowledgement, with data or without, in the windows of an assured connection, as `judgeSegment` takes it. */
function takeAck(flows: u32, flow: u32, direction: u32, packet: u32, total: u32, clock: u32): bool {
  const offset = <u32>load<u8>(packet, TCP_OFFSET) >> 4
  const sides = <u32>load<u16>(flow, FLOW_SIDES)
  let own = (sides >> (direction << 3)) & 0xff
  let other = (sides >> ((1 - direction) << 3)) & 0xff
  if (
    (<u32>load<u8>(packet, TCP_FLAGS) & JUDGED_FLAGS) !== ONLY_ACK ||
    offset < 5 ||
    (offset << 2) + 20 > total ||
    load<u8>(flow, FLOW_STATE) !== STATE_ESTABLISHED ||
    (<u32>load<u16>(flow, FLOW_STATUS) & STATUS_ASSURED) === 0 ||
    (own & (SIDE_LIBERAL | SIDE_ACKNOWLEDGES)) !== SIDE_ACKNOWLEDGES ||
    ((other & SIDE_SACK) !== 0 && offset !== 5 && (offset !== 8 || load<u32>(packet, TCP_OPTIONS) !== TIMESTAMPS))
  ) {
    return false
  }
  const sender = flow + FLOW_WINDOWS + direction * WINDOW_BYTES
  const receiver = flow + FLOW_WINDOWS + (1 - direction) * WINDOW_BYTES
  const sequence = bswap<u32>(load<u32>(packet, TCP_SEQUENCE))
  const acknowledged = bswap<u32>(load<u32>(packet, TCP_ACKNOWLEDGED))
  const end = sequence + (total - 20 - (offset << 2))
  const raw = <u32>bswap<u16>(load<u16>(packet, TCP_WINDOW))
  const offered = raw << load<u8>(flow + direction, FLOW_SCALES)
  const senderEnd = load<u32>(sender, WINDOW_END)
  const senderSize = load<u32>(sender, WINDOW_SIZE)
  const mostEnd = load<u32>(sender, WINDOW_MOST_END)
  const receiverEnd = load<u32>(receiver, WINDOW_END)
  const receiverSize = load<u32>(receiver, WINDOW_SIZE)
  if (
    senderSize === 0 ||
    receiverSize === 0 ||
    !isBefore(sequence, mostEnd + 1) ||
    // Beyond the window's end it takes more than this to be right.
    isAfter(end, mostEnd) ||
    !isBefore(acknowledged, receiverEnd + 1) ||
    !isAfter(end, senderEnd - receiverSize - 1) ||
    !isAfter(acknowledged, receiverEnd - max<u32>(senderSize, LEAST_ACK_WINDOW) - 1) ||
    raw === 0
  ) {
    return false
  }
  if (senderSize < offered) store<u32>(sender, offered, WINDOW_SIZE)
  if (isAfter(end, senderEnd)) {
    store<u32>(sender, end, WINDOW_END)
    own |= SIDE_UNACKNOWLEDGED
  }
  if (isAfter(acknowledged, load<u32>(sender, WINDOW_ACKNOWLEDGED)))
    store<u32>(sender, acknowledged, WINDOW_ACKNOWLEDGED)
  if (isAfter(acknowledged + offered, load<u32>(receiver, WINDOW_MOST_END) - 1)) {
    store<u32>(receiver, acknowledged + offered, WINDOW_MOST_END)
  }
  if (acknowledged === receiverEnd) other &= ~SIDE_UNACKNOWLEDGED
  const both = direction === 0 ? own | (other << 8) : other | (own << 8)
  if (both !== sides) store<u16>(flow, <u16>both, FLOW_SIDES)
  const times = noteUsual(flow, direction, sequence, acknowledged, end, raw)
  const isUnacknowledged = ((own | other) & SIDE_UNACKNOWLEDGED) !== 0
  store<u32>(flow, clock + lifeOf(flows, isUnacknowledged, times), FLOW_DEADLINE)
  return true
}

/** Notes the segment, and gives how often it has come again. */
function noteUsual(flow: u32, direction: u32, sequence: u32, acknowledged: u32, end: u32, raw: u32): u32 {
  store<u8>(flow, KIND_ACK, FLOW_LAST_KIND)
  const isAgain =
    load<u8>(flow, FLOW_LAST_DIRECTION) === direction &&
    load<u32>(flow, FLOW_LAST_SEQUENCE) === sequence &&
    load<u32>(flow, FLOW_LAST_ACKNOWLEDGED) === acknowledged &&
    load<u32>(flow, FLOW_LAST_END) === end &&
    load<u16>(flow, FLOW_LAST_WINDOW) === raw
  const times: u32 = isAgain ? min<u32>(<u32>load<u8>(flow, FLOW_RETRANSMITTED) + 1, 255) : 0
  store<u8>(flow, <u8>times, FLOW_RETRANSMITTED)
  if (isAgain) return times
  store<u8>(flow, <u8>direction, FLOW_LAST_DIRECTION)
  store<u16>(flow, <u16>raw, FLOW_LAST_WINDOW)
  store<u32>(flow, sequence, FLOW_LAST_SEQUENCE)
  store<u32>(flow, acknowledged, FLOW_LAST_ACKNOWLEDGED)
  store<u32>(flow, end, FLOW_LAST_END)
  return 0
}

/** Ticks that an established connection lives; less where it waits for an acknowledgement, or says the same again. */
function lifeOf(flows: u32, isUnacknowledged: bool, times: u32): u32 {
  const life = load<u32>(flows, FLOWS_TIMEOUTS + STATE_ESTABLISHED * 4)
  if (times >= load<u32>(flows, FLOWS_MOST_RETRANSMITTED)) {
    return min<u32>(life, load<u32>(flows, FLOWS_TIMEOUTS + TIMEOUT_RETRANSMITTED * 4))
  }
  return isUnacknowledged ? min<u32>(life, load<u32>(flows, FLOWS_TIMEOUTS + TIMEOUT_UNACKNOWLEDGED * 4)) : life
}
