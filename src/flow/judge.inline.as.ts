import {
  COUNT_CREATED,
  COUNT_CROWDED,
  COUNT_EXPIRED,
  COUNT_FRAGMENTS,
  COUNT_REFUSED,
  COUNT_REPLACED,
  DROP_CROWDED,
  DROP_FULL,
  DROP_TAKEN,
  FLOW_DEADLINE,
  FLOW_LAST_SEQUENCE,
  FLOW_STATE,
  FLOW_STATUS,
  FLOW_WINDOWS,
  FLOWS_CLOCK,
  FLOWS_PACKET,
  FLOWS_SETTINGS,
  KEY_DESTINATION,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_PROTOCOL,
  KEY_SOURCE,
  NO_FLOW,
  PACKET_DIRECTION,
  PACKET_END,
  PACKET_FLOW,
  PACKET_OTHER_KEY,
  PACKET_THIRD_KEY,
  PACKET_TRANSPORT,
  SETTING_CHECKSUMS,
  SETTING_EVICT,
  STATE_ICMP,
  STATE_OTHER,
  STATE_UDP,
  STATE_UDP_STREAM,
  STATUS_ASSURED,
  STATUS_DESTINATION,
  STATUS_REPLIED,
  STATUS_SOURCE,
  TICK_MS,
  TUPLE_ADDRESSES,
  VERDICT_DROPPED,
  VERDICT_ESTABLISHED,
  VERDICT_INVALID,
  VERDICT_NEW,
  VERDICT_RELATED,
  VERDICT_UNTRACKED,
} from './formats'
import {
  FRAGMENT_HEADER_BYTES,
  fragmentHeader,
  invert,
  isIcmp,
  isLater,
  isRequest,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  READ,
  READ_FRAGMENT,
  readPacket,
  readPorts,
  WALKED,
  WALKED_PROTOCOL,
  WALKED_SHIFT,
  walkFrom,
  walkIpv6,
  writeIpv6Key,
} from './packet.inline.as'
import { hasRules, publish } from './publish.inline.as'
import { isFree, isUnheard, makeFree } from './rules.inline.as'
import {
  countOne,
  endFlow,
  enter,
  evict,
  find,
  flowAt,
  freeFlow,
  hasExpired,
  leave,
  numberOf,
  setKey,
  takeFlow,
} from './table.inline.as'
import { AGAIN, beginConnection, INVALID, judgeSegment, mayBegin, PASSES, readSegment } from './tcp.inline.as'
import { refresh, timeoutOf } from './timeouts.inline.as'
import { isWhole } from './whole.inline.as'

const UDP_BYTES: u32 = 8
/** A UDP flow that is answered counts as a stream after two seconds. */
const STREAM_TICKS: u32 = 2000 / TICK_MS
const IPV4_BYTES: u32 = 20
const IPV6_BYTES: u32 = 40
const ICMP_BYTES: u32 = 8
const REDIRECT: u32 = 5
/** Of the field of flags and offset, as it is loaded. */
const FRAGMENT_OFFSET: u32 = 0xff1f
const MORE_FRAGMENTS: u32 = 0x20

/**
 * What a packet is to the table, which learns from it: a verdict, or what
 * `readPacket` says of a fragment. Its flow and direction stand in the table's
 * packet where it has one (VERDICT_ESTABLISHED, _NEW and _RELATED).
 */
export function judgePacket(flows: u32, packet: u32, captured: u32, flags: u32): u32 {
  const context = flows + FLOWS_PACKET
  const read = readPacket(flows, packet, captured)
  if (read !== READ) return read
  if ((load<u32>(flows, FLOWS_SETTINGS) & SETTING_CHECKSUMS) !== 0 && !isWhole(context, flags)) return VERDICT_INVALID
  return judgeRead(flows, context, false)
}

/** The same of a packet that has been read; of a first fragment the end of the transport is not there. */
export function judgeRead(flows: u32, context: u32, isFirst: bool): u32 {
  const protocol = <u32>load<u8>(context, KEY_PROTOCOL)
  const family = <u32>load<u8>(context, KEY_FAMILY)
  if (protocol === PROTOCOL_TCP) {
    if (!readSegment(context)) return VERDICT_INVALID
  } else if (protocol === PROTOCOL_UDP) {
    if (!isDatagram(context, isFirst)) return VERDICT_INVALID
  } else if (isIcmp(protocol, family)) {
    const type = (load<u32>(context, KEY_PORTS) >> 16) & 0xff
    if (isError(type, family)) return judgeError(flows, context, family)
    if (family === 6 && isNeighbourly(type)) return VERDICT_UNTRACKED
  }
  return judgeTracked(flows, context, protocol, family)
}

function isDatagram(context: u32, isFirst: bool): bool {
  const transport = load<u32>(context, PACKET_TRANSPORT)
  const end = load<u32>(context, PACKET_END)
  if (transport + UDP_BYTES > end) return false
  const length = <u32>bswap<u16>(load<u16>(transport, 4))
  return length >= UDP_BYTES && (isFirst || transport + length <= end)
}

function judgeTracked(flows: u32, context: u32, protocol: u32, family: u32): u32 {
  for (;;) {
    const reference = find(flows, context)
    if (reference === NO_FLOW) return open(flows, context, protocol, family)
    const flow = flowAt(flows, reference)
    const direction = reference & 1
    if (hasExpired(flows, flow)) {
      countOne(flows, COUNT_EXPIRED)
      endFlow(flows, flow)
      continue
    }
    const status = <u32>load<u16>(flow, FLOW_STATUS)
    if (isUnheard(flows, flow)) {
      if (direction === 0) return beginAgain(flows, context, flow, protocol)
      endFlow(flows, flow)
      continue
    }
    const become = advance(flows, context, flow, direction, protocol)
    if (become === AGAIN) {
      countOne(flows, COUNT_REPLACED)
      endFlow(flows, flow)
      continue
    }
    if (become === INVALID) return VERDICT_INVALID
    store<u32>(context, flow, PACKET_FLOW)
    store<u32>(context, direction, PACKET_DIRECTION)
    if (direction === 0) return (status & STATUS_REPLIED) !== 0 ? VERDICT_ESTABLISHED : VERDICT_NEW
    if ((status & STATUS_REPLIED) === 0) {
      store<u16>(flow, load<u16>(flow, FLOW_STATUS) | <u16>STATUS_REPLIED, FLOW_STATUS)
    }
    return VERDICT_ESTABLISHED
  }
}

/**
 * Once more the first packet of a flow of which none has left so far. It stays
 * the same flow, for the one before may wait for a neighbour.
 */
function beginAgain(flows: u32, context: u32, flow: u32, protocol: u32): u32 {
  if (protocol === PROTOCOL_TCP) {
    if (!mayBegin(flows, context)) return VERDICT_INVALID
    memory.fill(flow + <u32>FLOW_WINDOWS, 0, FLOW_DEADLINE - FLOW_WINDOWS)
    memory.fill(flow + <u32>FLOW_STATE, 0, FLOW_STATUS - FLOW_STATE)
    beginConnection(flows, context, flow)
    if (judgeSegment(flows, context, flow, 0) !== PASSES) return VERDICT_INVALID
  } else refresh(flows, flow, timeoutOf(flows, <u32>load<u8>(flow, FLOW_STATE)))
  store<u32>(context, flow, PACKET_FLOW)
  store<u32>(context, 0, PACKET_DIRECTION)
  return VERDICT_NEW
}

/** Takes a packet of a known flow into account. */
function advance(flows: u32, context: u32, flow: u32, direction: u32, protocol: u32): u32 {
  if (protocol === PROTOCOL_TCP) return judgeSegment(flows, context, flow, direction)
  const state = <u32>load<u8>(flow, FLOW_STATE)
  if (state !== STATE_UDP) {
    refresh(flows, flow, timeoutOf(flows, state))
    return PASSES
  }
  const status = <u32>load<u16>(flow, FLOW_STATUS)
  if ((status & STATUS_REPLIED) !== 0 && load<u32>(flows, FLOWS_CLOCK) > load<u32>(flow, FLOW_LAST_SEQUENCE)) {
    store<u8>(flow, <u8>STATE_UDP_STREAM, FLOW_STATE)
    store<u16>(flow, <u16>(status | STATUS_ASSURED), FLOW_STATUS)
    refresh(flows, flow, timeoutOf(flows, STATE_UDP_STREAM))
  } else refresh(flows, flow, timeoutOf(flows, STATE_UDP))
  return PASSES
}

/** Opens a flow with the packet that is looked at. */
function open(flows: u32, context: u32, protocol: u32, family: u32): u32 {
  const answer = context + <u32>PACKET_OTHER_KEY
  if (!invert(context, answer)) return VERDICT_INVALID
  if (protocol === PROTOCOL_TCP && !mayBegin(flows, context)) return VERDICT_INVALID
  const isEcho = isIcmp(protocol, family)
  if (isEcho && !isRequest((load<u32>(context, KEY_PORTS) >> 16) & 0xff, family)) return VERDICT_INVALID

  let translation: u32 = 0
  if (hasRules(flows)) {
    if (publish(flows, context, answer)) translation = STATUS_DESTINATION
    if (!isFree(flows, answer)) {
      if (!makeFree(flows, answer)) return VERDICT_DROPPED + DROP_TAKEN
      translation |= STATUS_SOURCE
    }
  }
  let flow = takeFlow(flows)
  if (flow === 0 && (load<u32>(flows, FLOWS_SETTINGS) & SETTING_EVICT) !== 0 && evict(flows, context))
    flow = takeFlow(flows)
  if (flow === 0) {
    countOne(flows, COUNT_REFUSED)
    return VERDICT_DROPPED + DROP_FULL
  }
  if (!enterFlow(flows, flow, context, answer)) {
    countOne(flows, COUNT_CROWDED)
    return VERDICT_DROPPED + DROP_CROWDED
  }
  countOne(flows, COUNT_CREATED)
  store<u16>(flow, <u16>(<u32>load<u16>(flow, FLOW_STATUS) | translation), FLOW_STATUS)
  store<u32>(context, flow, PACKET_FLOW)
  store<u32>(context, 0, PACKET_DIRECTION)
  if (protocol === PROTOCOL_TCP) {
    beginConnection(flows, context, flow)
    if (judgeSegment(flows, context, flow, 0) === PASSES) return VERDICT_NEW
    endFlow(flows, flow)
    return VERDICT_INVALID
  }
  const state: u32 = isEcho ? STATE_ICMP : protocol === PROTOCOL_UDP ? STATE_UDP : STATE_OTHER
  store<u8>(flow, <u8>state, FLOW_STATE)
  store<u32>(flow, load<u32>(flows, FLOWS_CLOCK) + STREAM_TICKS, FLOW_LAST_SEQUENCE)
  refresh(flows, flow, timeoutOf(flows, state))
  return VERDICT_NEW
}

/** Enters a flow under both keys; where that cannot be it is free again. */
function enterFlow(flows: u32, flow: u32, tuple: u32, answer: u32): bool {
  const reference = numberOf(flows, flow) << 1
  setKey(flow, 0, tuple)
  setKey(flow, 1, answer)
  if (enter(flows, tuple, reference)) {
    if (enter(flows, answer, reference | 1)) return true
    leave(flows, reference)
  }
  freeFlow(flows, flow)
  return false
}

/** Destination unreachable, source quench, redirect, time exceeded, parameter problem; of ICMPv6 all below 128. */
export function isError(type: u32, family: u32): bool {
  if (family === 6) return type < 128
  return type === 3 || type === 4 || type === 5 || type === 11 || type === 12
}

/** Multicast listeners and neighbours (RFC 2710, 3810, 4861) talk on one link only. */
function isNeighbourly(type: u32): bool {
  return (type >= 130 && type <= 136) || type === 143
}

/** An ICMP error is related to the flow of the packet that it quotes, if it goes to who sent that. */
function judgeError(flows: u32, context: u32, family: u32): u32 {
  const inner = context + <u32>PACKET_OTHER_KEY
  const wanted = context + <u32>PACKET_THIRD_KEY
  const at = load<u32>(context, PACKET_TRANSPORT) + ICMP_BYTES
  const read = readQuoted(inner, at, load<u32>(context, PACKET_END), family)
  if (read === READ_FRAGMENT) return unknownQuote(flows)
  if (read !== READ) return read
  if (!invert(inner, wanted)) return VERDICT_INVALID
  const reference = find(flows, wanted)
  // A first fragment may be one of a datagram that nobody has tracked.
  if (reference === NO_FLOW && isFragment(at, family)) return unknownQuote(flows)
  if (reference === NO_FLOW || !isToSender(context, inner, family)) return VERDICT_INVALID
  const flow = flowAt(flows, reference)
  if (hasExpired(flows, flow) || isUnheard(flows, flow) || isMisleading(context, flow, family)) return VERDICT_INVALID
  store<u32>(context, flow, PACKET_FLOW)
  store<u32>(context, reference & 1, PACKET_DIRECTION)
  return VERDICT_RELATED
}

function isFragment(network: u32, family: u32): bool {
  return family === 4 ? (<u32>load<u16>(network, 6) & MORE_FRAGMENTS) !== 0 : fragmentHeader(network) !== 0
}

/** What an error is that quotes a fragment of which nobody knows a flow. */
function unknownQuote(flows: u32): u32 {
  countOne(flows, COUNT_FRAGMENTS)
  return hasRules(flows) ? VERDICT_INVALID : VERDICT_UNTRACKED
}

/** A redirect names a router on the link of who sends it: where addresses are translated that is another link. */
function isMisleading(context: u32, flow: u32, family: u32): bool {
  if (family !== 4 || load<u8>(load<u32>(context, PACKET_TRANSPORT)) !== REDIRECT) return false
  return (<u32>load<u16>(flow, FLOW_STATUS) & (STATUS_SOURCE | STATUS_DESTINATION)) !== 0
}

/**
 * Reads the key of a quoted packet, of which only the first bytes need be there.
 * Who sends fragments of IPv6 hears of each that is too big, and must: routers cut none (RFC 4443, 3.2).
 */
export function readQuoted(tuple: u32, at: u32, end: u32, family: u32): u32 {
  if (family === 4) {
    if (at + IPV4_BYTES > end) return VERDICT_INVALID
    const headerBytes = (<u32>load<u8>(at) & 15) << 2
    if (headerBytes < IPV4_BYTES || (<u32>load<u16>(at, 6) & FRAGMENT_OFFSET) !== 0) return VERDICT_INVALID
    const protocol = <u32>load<u8>(at, 9)
    store<u64>(tuple, load<u64>(at, 12), KEY_SOURCE)
    return readPorts(tuple, protocol, at + headerBytes, end, 4)
  }
  if (at + IPV6_BYTES > end) return VERDICT_INVALID
  let walked = walkIpv6(at, end)
  if (walked === READ_FRAGMENT) {
    const header = fragmentHeader(at)
    if (isLater(header)) return READ_FRAGMENT
    walked = walkFrom(at, header + FRAGMENT_HEADER_BYTES, <u32>load<u8>(header), end)
  }
  if (walked < WALKED) return walked
  writeIpv6Key(tuple, at + 8)
  return readPorts(tuple, walked & WALKED_PROTOCOL, at + (walked >> WALKED_SHIFT), end, 6)
}

function isToSender(context: u32, inner: u32, family: u32): bool {
  if (family === 4) return load<u32>(context, KEY_DESTINATION) === load<u32>(inner, KEY_SOURCE)
  const difference = v128.xor(v128.load(context, TUPLE_ADDRESSES + 16), v128.load(inner, TUPLE_ADDRESSES))
  return !v128.any_true(difference)
}
