import {
  FLOW_LAST_ACKNOWLEDGED,
  FLOW_LAST_DIRECTION,
  FLOW_LAST_END,
  FLOW_LAST_FLAGS,
  FLOW_LAST_KIND,
  FLOW_LAST_SCALE,
  FLOW_LAST_WINDOW,
  FLOW_RETRANSMITTED,
  FLOW_STATE,
  FLOW_STATUS,
  FLOWS_MOST_RETRANSMITTED,
  FLOWS_NEXT_STATE,
  FLOWS_SETTINGS,
  KIND_ACK,
  KIND_FIN,
  KIND_NONE,
  KIND_RST,
  KIND_SYN,
  KIND_SYN_ACK,
  KINDS,
  NEXT_IGNORED,
  NEXT_INVALID,
  PACKET_ACKNOWLEDGED,
  PACKET_END,
  PACKET_KIND,
  PACKET_SEGMENT_END,
  PACKET_SEQUENCE,
  PACKET_TRANSPORT,
  PACKET_WINDOW,
  SETTING_LOOSE,
  STATE_CLOSE,
  STATE_ESTABLISHED,
  STATE_FIN_WAIT,
  STATE_LAST_ACK,
  STATE_NONE,
  STATE_SYN_RECEIVED,
  STATE_SYN_SENT,
  STATE_SYN_SENT_TWICE,
  STATE_TIME_WAIT,
  STATUS_ASSURED,
  STATUS_REPLIED,
  TCP_STATES,
  TIMEOUT_RETRANSMITTED,
  TIMEOUT_UNACKNOWLEDGED,
  WINDOW_ACKNOWLEDGED,
  WINDOW_END,
  WINDOW_MOST_END,
  WINDOW_SIZE,
} from './formats'
import {
  FLAG_ACK,
  FLAG_FIN,
  FLAG_RST,
  FLAG_SYN,
  isBefore,
  judgeWindow,
  LAST_CHALLENGE,
  LAST_SIMULTANEOUS,
  noteIgnored,
  readOptions,
  resetSide,
  SEGMENT_GOOD,
  SEGMENT_INVALID,
  SIDE_ACKNOWLEDGES,
  SIDE_CLOSED,
  SIDE_LIBERAL,
  SIDE_SACK,
  SIDE_SCALES,
  SIDE_UNACKNOWLEDGED,
  setSide,
  sideOf,
  takeIgnored,
  takeOptions,
  windowOf,
} from './tcp-window.inline.as'
import { expire, refresh, shorten, timeoutOf } from './timeouts.inline.as'

/** What becomes of a packet of a flow: it passes; it is invalid; the flow has ended, and the packet opens another. */
export const PASSES: u32 = 0
export const INVALID: u32 = 1
export const AGAIN: u32 = 2

const TCP_BYTES: u32 = 20
const FLAG_URG: u32 = 0x20

/** Reads the segment's header; false where it is not whole, or has flags that no TCP sends together. */
export function readSegment(context: u32): bool {
  const transport = load<u32>(context, PACKET_TRANSPORT)
  const end = load<u32>(context, PACKET_END)
  if (transport + TCP_BYTES > end) return false
  const headerBytes = (<u32>load<u8>(transport, 12) >> 4) << 2
  const flags = <u32>load<u8>(transport, 13)
  if (headerBytes < TCP_BYTES || transport + headerBytes > end || !arePossible(flags)) return false
  const sequence = bswap<u32>(load<u32>(transport, 4))
  const payload = end - transport - headerBytes
  store<u32>(context, sequence, PACKET_SEQUENCE)
  store<u32>(context, bswap<u32>(load<u32>(transport, 8)), PACKET_ACKNOWLEDGED)
  store<u32>(context, sequence + payload + (flags & FLAG_FIN) + ((flags & FLAG_SYN) >> 1), PACKET_SEGMENT_END)
  store<u32>(context, <u32>bswap<u16>(load<u16>(transport, 14)), PACKET_WINDOW)
  store<u32>(context, kindOf(flags), PACKET_KIND)
  return true
}

/** SYN and RST, with or without ACK; ACK alone or with FIN; URG with some of them. PSH, ECE and CWR may stand anywhere. */
function arePossible(flags: u32): bool {
  const plain = flags & (FLAG_FIN | FLAG_SYN | FLAG_RST | FLAG_ACK)
  if (plain === FLAG_SYN || plain === FLAG_ACK || plain === (FLAG_FIN | FLAG_ACK)) return true
  return (flags & FLAG_URG) === 0 && (plain === (FLAG_SYN | FLAG_ACK) || (plain & ~FLAG_ACK) === FLAG_RST)
}

function kindOf(flags: u32): u32 {
  if ((flags & FLAG_RST) !== 0) return KIND_RST
  if ((flags & FLAG_SYN) !== 0) return (flags & FLAG_ACK) !== 0 ? KIND_SYN_ACK : KIND_SYN
  if ((flags & FLAG_FIN) !== 0) return KIND_FIN
  return (flags & FLAG_ACK) !== 0 ? KIND_ACK : KIND_NONE
}

/** A segment goes on in another fragment, up to that sequence number. */
export function extendSegment(flow: u32, direction: u32, end: u32): void {
  const window = windowOf(flow, direction)
  if (isBefore(load<u32>(window, WINDOW_END), end)) store<u32>(window, end, WINDOW_END)
}

function nextState(flows: u32, direction: u32, kind: u32, state: u32): u32 {
  return load<u8>(flows + (direction * KINDS + kind) * TCP_STATES + state, FLOWS_NEXT_STATE)
}

/** Whether a connection may begin with this segment. */
export function mayBegin(flows: u32, context: u32): bool {
  const next = nextState(flows, 0, load<u32>(context, PACKET_KIND), STATE_NONE)
  if (next >= <u32>NEXT_IGNORED) return false
  return next === STATE_SYN_SENT || (load<u32>(flows, FLOWS_SETTINGS) & SETTING_LOOSE) !== 0
}

/** What the first segment tells of the side that sent it. */
export function beginConnection(flows: u32, context: u32, flow: u32): void {
  const window = windowOf(flow, 0)
  const end = load<u32>(context, PACKET_SEGMENT_END)
  const size = max<u32>(load<u32>(context, PACKET_WINDOW), 1)
  const isSyn = nextState(flows, 0, load<u32>(context, PACKET_KIND), STATE_NONE) === STATE_SYN_SENT
  store<u32>(window, end, WINDOW_END)
  store<u32>(window, size, WINDOW_SIZE)
  store<u32>(window, isSyn ? end : end + size, WINDOW_MOST_END)
  store<u8>(flow, KIND_NONE, FLOW_LAST_KIND)
  if (isSyn) takeOptions(context, flow, 0)
  else {
    // Its windows may be scaled, and nobody knows by how much.
    setSide(flow, 0, SIDE_SACK | SIDE_LIBERAL)
    setSide(flow, 1, SIDE_SACK | SIDE_LIBERAL)
  }
}

/**
 * A segment of a known connection, as `nf_conntrack_tcp_packet` of Linux 6.18
 * (net/netfilter/nf_conntrack_proto_tcp.c) judges it.
 */
export function judgeSegment(flows: u32, context: u32, flow: u32, direction: u32): u32 {
  const kind = load<u32>(context, PACKET_KIND)
  let state = <u32>load<u8>(flow, FLOW_STATE)
  let next = nextState(flows, direction, kind, state)
  let isChecked = true
  switch (next) {
    case STATE_SYN_SENT:
      if (state < <u32>STATE_TIME_WAIT) break
      // RFC 9293, 3.6.1: a SYN may reopen a connection in TIME-WAIT; and one that its own side has reset.
      if (
        ((sideOf(flow, 0) | sideOf(flow, 1)) & SIDE_CLOSED) !== 0 ||
        (load<u8>(flow, FLOW_LAST_DIRECTION) === direction && load<u8>(flow, FLOW_LAST_KIND) === KIND_RST)
      ) {
        return AGAIN
      }
      ignore(context, flow, direction, state)
      return PASSES
    case NEXT_IGNORED:
      if (!answersIgnored(context, flow, direction)) {
        ignore(context, flow, direction, state)
        return PASSES
      }
      // The two sides know what we do not: a SYN that was let through is answered.
      state = STATE_SYN_SENT
      next = STATE_SYN_RECEIVED
      takeIgnored(flow)
      resetSide(flow, direction)
      break
    case NEXT_INVALID:
      return INVALID
    case STATE_TIME_WAIT:
      if (isChallenge(context, flow, direction, state)) return PASSES
      break
    case STATE_SYN_SENT_TWICE:
      store<u8>(flow, load<u8>(flow, FLOW_LAST_FLAGS) | <u8>LAST_SIMULTANEOUS, FLOW_LAST_FLAGS)
      break
    case STATE_SYN_RECEIVED:
      if (direction === 1 && kind === KIND_ACK && (<u32>load<u8>(flow, FLOW_LAST_FLAGS) & LAST_SIMULTANEOUS) !== 0) {
        next = STATE_ESTABLISHED
      }
      break
    case STATE_CLOSE: {
      if (kind !== KIND_RST) break
      const reset = judgeReset(context, flow, direction, state)
      if (reset === RESET_INVALID) return INVALID
      if (reset === RESET_DOUBTFUL) next = state
      isChecked = reset !== RESET_SURE
      break
    }
  }
  if (isChecked) {
    const judged = judgeWindow(flows, context, flow, direction)
    if (judged === SEGMENT_INVALID) noteInvalid(flows, context, flow, direction)
    if (judged !== SEGMENT_GOOD) return judged === SEGMENT_INVALID ? INVALID : PASSES
  }
  accept(flows, context, flow, direction, state, next)
  return PASSES
}

/** A SYN-ACK that answers exactly the SYN that was let through. */
function answersIgnored(context: u32, flow: u32, direction: u32): bool {
  return (
    load<u32>(context, PACKET_KIND) === KIND_SYN_ACK &&
    load<u8>(flow, FLOW_LAST_KIND) === KIND_SYN &&
    load<u8>(flow, FLOW_LAST_DIRECTION) !== direction &&
    load<u32>(context, PACKET_ACKNOWLEDGED) === load<u32>(flow, FLOW_LAST_END)
  )
}

/** Lets a segment through that may be good: the other side will say, by a SYN-ACK or a RST. */
function ignore(context: u32, flow: u32, direction: u32, state: u32): void {
  const kind = load<u32>(context, PACKET_KIND)
  noteIgnored(context, flow, direction)
  if (kind === KIND_SYN && direction === 0) {
    const options = readOptions(context)
    const challenge = state === STATE_LAST_ACK ? LAST_CHALLENGE : 0
    store<u8>(flow, <u8>((options & (SIDE_SCALES | SIDE_SACK)) | challenge), FLOW_LAST_FLAGS)
    store<u8>(flow, <u8>(options >> 8), FLOW_LAST_SCALE)
  }
  if (state === STATE_SYN_SENT && kind === KIND_ACK && direction === 1) {
    store<u32>(flow, load<u32>(context, PACKET_ACKNOWLEDGED), FLOW_LAST_ACKNOWLEDGED)
  }
}

/** An acknowledgement that answers a SYN in LAST-ACK (RFC 5961, 4) acknowledges no FIN. */
function isChallenge(context: u32, flow: u32, direction: u32, state: u32): bool {
  const flags = <u32>load<u8>(flow, FLOW_LAST_FLAGS)
  if (
    state !== STATE_LAST_ACK ||
    load<u32>(context, PACKET_KIND) !== KIND_ACK ||
    load<u8>(flow, FLOW_LAST_DIRECTION) === direction ||
    load<u8>(flow, FLOW_LAST_KIND) !== KIND_SYN ||
    (flags & LAST_CHALLENGE) === 0
  ) {
    return false
  }
  store<u8>(flow, <u8>(flags & ~LAST_CHALLENGE), FLOW_LAST_FLAGS)
  return true
}

/** A RST is subject to the windows; is sure, whatever they say; does not close, if it is in them; is invalid. */
const RESET_CHECKED: u32 = 0
const RESET_SURE: u32 = 1
const RESET_DOUBTFUL: u32 = 2
const RESET_INVALID: u32 = 3

/** RFC 5961, 3: only a RST of exactly the next sequence number closes an established connection. */
function judgeReset(context: u32, flow: u32, direction: u32, state: u32): u32 {
  if (state >= <u32>STATE_FIN_WAIT && state <= <u32>STATE_CLOSE) return RESET_SURE
  const sequence = load<u32>(context, PACKET_SEQUENCE)
  const lastKind = <u32>load<u8>(flow, FLOW_LAST_KIND)
  const status = <u32>load<u16>(flow, FLOW_STATUS)
  const isEstablished = state === STATE_ESTABLISHED && (status & STATUS_ASSURED) !== 0
  let answer = RESET_CHECKED
  if ((sideOf(flow, 1 - direction) & SIDE_ACKNOWLEDGES) !== 0 && lastKind !== KIND_SYN) {
    const acknowledged = load<u32>(windowOf(flow, 1 - direction), WINDOW_ACKNOWLEDGED)
    if (sequence === 0 && !isEstablished) return RESET_CHECKED
    if (isBefore(sequence, acknowledged)) return RESET_INVALID
    if (!isEstablished || sequence === acknowledged) return RESET_CHECKED
    // Right behind what it has just sent.
    if (
      lastKind === KIND_ACK &&
      load<u8>(flow, FLOW_LAST_DIRECTION) === direction &&
      sequence === load<u32>(flow, FLOW_LAST_END)
    ) {
      return RESET_CHECKED
    }
    answer = RESET_DOUBTFUL
  }
  const answersSyn = (status & STATUS_REPLIED) !== 0 && lastKind === KIND_SYN
  const answersAck = (status & STATUS_ASSURED) === 0 && lastKind === KIND_ACK
  const isAnswer = load<u8>(flow, FLOW_LAST_DIRECTION) !== direction && (answersSyn || answersAck)
  if (isAnswer && load<u32>(context, PACKET_ACKNOWLEDGED) === load<u32>(flow, FLOW_LAST_END)) return RESET_SURE
  const answersChallenge =
    state === STATE_SYN_SENT &&
    lastKind === KIND_ACK &&
    load<u8>(flow, FLOW_LAST_DIRECTION) === 1 &&
    sequence === load<u32>(flow, FLOW_LAST_ACKNOWLEDGED)
  return answersChallenge ? RESET_SURE : answer
}

/** FIN or RST of both sides, out of their windows: the two know better, so the flow is not kept for days. */
function noteInvalid(flows: u32, context: u32, flow: u32, direction: u32): void {
  const kind = load<u32>(context, PACKET_KIND)
  if ((<u32>load<u16>(flow, FLOW_STATUS) & STATUS_ASSURED) === 0 || (kind !== KIND_RST && kind !== KIND_FIN)) return
  const last = <u32>load<u8>(flow, FLOW_LAST_KIND)
  if (load<u8>(flow, FLOW_LAST_DIRECTION) !== direction && (last === KIND_FIN || last === KIND_RST)) {
    shorten(flows, flow, timeoutOf(flows, TIMEOUT_UNACKNOWLEDGED))
    return
  }
  store<u8>(flow, <u8>kind, FLOW_LAST_KIND)
  store<u8>(flow, <u8>direction, FLOW_LAST_DIRECTION)
}

/** Takes the segment's state over, and says how long the flow lives without another one. */
function accept(flows: u32, context: u32, flow: u32, direction: u32, state: u32, next: u32): void {
  const kind = load<u32>(context, PACKET_KIND)
  const status = <u32>load<u16>(flow, FLOW_STATUS)
  store<u8>(flow, <u8>kind, FLOW_LAST_KIND)
  store<u8>(flow, <u8>direction, FLOW_LAST_DIRECTION)
  store<u8>(flow, <u8>next, FLOW_STATE)
  if (state !== next && next === STATE_FIN_WAIT) setSide(flow, direction, sideOf(flow, direction) | SIDE_CLOSED)
  if ((status & STATUS_REPLIED) === 0) {
    if (kind === KIND_RST) {
      // Only refused: over with this packet, which still has its flow.
      expire(flow)
      return
    }
    // SYNs that nobody answers do not keep their flow alive.
    if (kind === KIND_SYN && state === STATE_SYN_SENT) return
  } else if (
    (status & STATUS_ASSURED) === 0 &&
    (state === STATE_SYN_RECEIVED || state === STATE_ESTABLISHED) &&
    next === STATE_ESTABLISHED
  ) {
    store<u16>(flow, <u16>(status | STATUS_ASSURED), FLOW_STATUS)
  }
  refresh(flows, flow, lifeOf(flows, flow, kind, next, (status & STATUS_REPLIED) !== 0))
}

/** Ticks that a connection lives in a state, and less where it does not go on. */
function lifeOf(flows: u32, flow: u32, kind: u32, state: u32, isReplied: bool): u32 {
  const life = timeoutOf(flows, state)
  const retransmitted = timeoutOf(flows, TIMEOUT_RETRANSMITTED)
  const unacknowledged = timeoutOf(flows, TIMEOUT_UNACKNOWLEDGED)
  if (load<u8>(flow, FLOW_RETRANSMITTED) >= load<u32>(flows, FLOWS_MOST_RETRANSMITTED) && life > retransmitted) {
    return retransmitted
  }
  if (kind === KIND_RST) return timeoutOf(flows, STATE_CLOSE)
  if (((sideOf(flow, 0) | sideOf(flow, 1)) & SIDE_UNACKNOWLEDGED) !== 0 && life > unacknowledged) return unacknowledged
  if (load<u16>(flow, FLOW_LAST_WINDOW) === 0 && life > retransmitted) return retransmitted
  return !isReplied && state === STATE_ESTABLISHED ? min<u32>(life, unacknowledged) : life
}
