import {
  FLOW_LAST_ACKNOWLEDGED,
  FLOW_LAST_DIRECTION,
  FLOW_LAST_END,
  FLOW_LAST_FLAGS,
  FLOW_LAST_KIND,
  FLOW_LAST_SCALE,
  FLOW_LAST_SEQUENCE,
  FLOW_LAST_WINDOW,
  FLOW_RETRANSMITTED,
  FLOW_SCALES,
  FLOW_SIDES,
  FLOW_STATE,
  FLOW_WINDOWS,
  FLOWS_SETTINGS,
  KIND_ACK,
  PACKET_ACKNOWLEDGED,
  PACKET_KIND,
  PACKET_SEGMENT_END,
  PACKET_SEQUENCE,
  PACKET_TRANSPORT,
  PACKET_WINDOW,
  SETTING_LIBERAL,
  STATE_SYN_RECEIVED,
  STATE_SYN_SENT,
  WINDOW_ACKNOWLEDGED,
  WINDOW_BYTES,
  WINDOW_END,
  WINDOW_MOST_END,
  WINDOW_SIZE,
} from './formats'

/** Of a side, and of a SYN that was let through: as `IP_CT_TCP_FLAG_…`. */
export const SIDE_SCALES: u32 = 1
export const SIDE_SACK: u32 = 2
/** It has closed first. */
export const SIDE_CLOSED: u32 = 4
/** Its begin was not seen; what is out of its window passes. */
export const SIDE_LIBERAL: u32 = 8
export const SIDE_UNACKNOWLEDGED: u32 = 0x10
export const SIDE_ACKNOWLEDGES: u32 = 0x20
/** Of a SYN that was let through only: the answer may be a challenge; both sides have sent one. */
export const LAST_CHALLENGE: u32 = 0x40
export const LAST_SIMULTANEOUS: u32 = 0x80

export const FLAG_FIN: u32 = 1
export const FLAG_SYN: u32 = 2
export const FLAG_RST: u32 = 4
export const FLAG_ACK: u32 = 16

/** The segment changes the flow; passes and changes nothing; is invalid. */
export const SEGMENT_GOOD: u32 = 0
export const SEGMENT_IGNORED: u32 = 1
export const SEGMENT_INVALID: u32 = 2

const TCP_BYTES: u32 = 20
const MOST_SCALE: u32 = 14
/** `MAXACKWINCONST`: an acknowledgement may be so old where windows are smaller. */
export const LEAST_ACK_WINDOW: u32 = 66000

export function isBefore(one: u32, other: u32): bool {
  return <i32>(one - other) < 0
}

export function isAfter(one: u32, other: u32): bool {
  return isBefore(other, one)
}

export function windowOf(flow: u32, side: u32): u32 {
  return flow + FLOW_WINDOWS + side * WINDOW_BYTES
}

export function sideOf(flow: u32, side: u32): u32 {
  return load<u8>(flow + side, FLOW_SIDES)
}

export function setSide(flow: u32, side: u32, flags: u32): void {
  store<u8>(flow + side, <u8>flags, FLOW_SIDES)
}

function flagsOf(context: u32): u32 {
  return load<u8>(load<u32>(context, PACKET_TRANSPORT), 13)
}

/** Window scale and SACK of a SYN's options: flags of a side, and the scale from bit 8 on. */
export function readOptions(context: u32): u32 {
  const transport = load<u32>(context, PACKET_TRANSPORT)
  const end = transport + ((<u32>load<u8>(transport, 12) >> 4) << 2)
  let found: u32 = 0
  for (let at = transport + TCP_BYTES; at < end; ) {
    const kind = <u32>load<u8>(at)
    if (kind === 0) break
    if (kind === 1) {
      at++
      continue
    }
    const bytes = at + 2 > end ? 0 : <u32>load<u8>(at, 1)
    if (bytes < 2 || at + bytes > end) break
    if (kind === 4 && bytes === 2) found |= SIDE_SACK
    else if (kind === 3 && bytes === 3) {
      found = (found & 0xff) | SIDE_SCALES | (min<u32>(load<u8>(at, 2), MOST_SCALE) << 8)
    }
    at += bytes
  }
  return found
}

/** The highest sequence number that the segment acknowledges, selectively (RFC 2018) or not. */
function mostAcknowledged(context: u32, acknowledged: u32): u32 {
  const transport = load<u32>(context, PACKET_TRANSPORT)
  const end = transport + ((<u32>load<u8>(transport, 12) >> 4) << 2)
  let most = acknowledged
  for (let at = transport + TCP_BYTES; at < end; ) {
    const kind = <u32>load<u8>(at)
    if (kind === 0) break
    if (kind === 1) {
      at++
      continue
    }
    const bytes = at + 2 > end ? 0 : <u32>load<u8>(at, 1)
    if (bytes < 2 || at + bytes > end) break
    if (kind === 5 && bytes >= 10 && ((bytes - 2) & 7) === 0) {
      for (let block = at + 2; block < at + bytes; block += 8) {
        const edge = bswap<u32>(load<u32>(block, 4))
        if (isAfter(edge, most)) most = edge
      }
      break
    }
    at += bytes
  }
  return most
}

/** A side begins with the SYN that is looked at. */
export function beginSide(context: u32, flow: u32, direction: u32): void {
  const window = windowOf(flow, direction)
  const end = load<u32>(context, PACKET_SEGMENT_END)
  store<u32>(window, end, WINDOW_END)
  store<u32>(window, end, WINDOW_MOST_END)
  store<u32>(window, max<u32>(load<u32>(context, PACKET_WINDOW), 1), WINDOW_SIZE)
  takeOptions(context, flow, direction)
  // RFC 7323, 2.2: both sides say that they scale, or none does.
  if (direction === 1 && (sideOf(flow, 0) & sideOf(flow, 1) & SIDE_SCALES) === 0) store<u16>(flow, 0, FLOW_SCALES)
}

/** What a side says of itself in the options of its SYN; without options, what is known stays. */
export function takeOptions(context: u32, flow: u32, direction: u32): void {
  const transport = load<u32>(context, PACKET_TRANSPORT)
  if (<u32>load<u8>(transport, 12) >> 4 === 5) return
  const options = readOptions(context)
  setSide(flow, direction, (sideOf(flow, direction) & SIDE_LIBERAL) | (options & 0xff))
  store<u8>(flow + direction, <u8>(options >> 8), FLOW_SCALES)
}

/** A side of which the begin was not seen starts with the segment that is looked at. */
function pickUpSide(context: u32, flow: u32, direction: u32, most: u32): void {
  const window = windowOf(flow, direction)
  const other = windowOf(flow, 1 - direction)
  const end = load<u32>(context, PACKET_SEGMENT_END)
  const size = max<u32>(load<u32>(context, PACKET_WINDOW) << load<u8>(flow + direction, FLOW_SCALES), 1)
  store<u32>(window, end, WINDOW_END)
  store<u32>(window, size, WINDOW_SIZE)
  store<u32>(window, end + size, WINDOW_MOST_END)
  if (load<u32>(other, WINDOW_SIZE) === 0) {
    store<u32>(other, most, WINDOW_END)
    store<u32>(other, most, WINDOW_MOST_END)
  } else if (most === load<u32>(other, WINDOW_END) + 1) {
    // Likely the answer to a keep-alive, which the other side has sent before its window.
    store<u32>(other, most, WINDOW_END)
  }
}

/**
 * Whether a segment lies in the windows of both sides, as `tcp_in_window` of
 * Linux 6.18 (net/netfilter/nf_conntrack_proto_tcp.c; van Rooij, "Real Stateful
 * TCP Packet Filtering in IP Filter"), and what it tells of them:
 *
 *     I    sequence     <= most end of the sender
 *     II   end          >= end of the sender - window of the receiver
 *     III  acknowledged <= end of the receiver
 *     IV   acknowledged >= end of the receiver - window of the sender, 66,000 at least
 *
 * What breaks I or III is invalid; what breaks II or IV is old, and ignored.
 */
export function judgeWindow(flows: u32, context: u32, flow: u32, direction: u32): u32 {
  const sender = windowOf(flow, direction)
  const receiver = windowOf(flow, 1 - direction)
  const flags = flagsOf(context)
  const state = <u32>load<u8>(flow, FLOW_STATE)
  const isLiberal =
    (sideOf(flow, direction) & SIDE_LIBERAL) !== 0 || (load<u32>(flows, FLOWS_SETTINGS) & SETTING_LIBERAL) !== 0
  let sequence = load<u32>(context, PACKET_SEQUENCE)
  let end = load<u32>(context, PACKET_SEGMENT_END)
  let acknowledged = load<u32>(context, PACKET_ACKNOWLEDGED)
  let most = (sideOf(flow, 1 - direction) & SIDE_SACK) !== 0 ? mostAcknowledged(context, acknowledged) : acknowledged

  if (load<u32>(sender, WINDOW_SIZE) === 0) {
    if ((flags & FLAG_SYN) !== 0) {
      beginSide(context, flow, direction)
      // A simultaneous open.
      if ((flags & FLAG_ACK) === 0) return SEGMENT_GOOD
    } else pickUpSide(context, flow, direction, most)
  } else if (
    (flags & FLAG_SYN) !== 0 &&
    isAfter(end, load<u32>(sender, WINDOW_END)) &&
    (state === STATE_SYN_SENT || state === STATE_SYN_RECEIVED)
  ) {
    beginSide(context, flow, direction)
    if (direction === 1 && (flags & FLAG_ACK) === 0) return SEGMENT_GOOD
  }

  const receiverEnd = load<u32>(receiver, WINDOW_END)
  // Without an acknowledgement, or in a RST of a host that sets the flag without the number, it counts as good.
  if ((flags & FLAG_ACK) === 0 || ((flags & FLAG_RST) !== 0 && acknowledged === 0)) {
    acknowledged = receiverEnd
    most = receiverEnd
  }
  // A RST that answers a SYN has no number.
  if ((flags & FLAG_RST) !== 0 && sequence === 0 && state === STATE_SYN_SENT) {
    end = load<u32>(sender, WINDOW_END)
    sequence = end
  }

  const senderEnd = load<u32>(sender, WINDOW_END)
  const mostEnd = load<u32>(sender, WINDOW_MOST_END)
  const receiverSize = load<u32>(receiver, WINDOW_SIZE)
  const ackWindow = max<u32>(load<u32>(sender, WINDOW_SIZE), LEAST_ACK_WINDOW)
  const isAckNew = isAfter(most, receiverEnd - ackWindow - 1)
  const isAckSeen = isBefore(most, receiverEnd + 1)
  if (!isBefore(sequence, mostEnd + 1)) {
    const overshot = end - mostEnd + 1
    if (
      receiverSize !== 0 &&
      isAfter(end, senderEnd - receiverSize - 1) &&
      isAckNew &&
      overshot <= receiverSize &&
      isAckSeen
    ) {
      // A sender that sends more than it may: its peer may acknowledge that all the same.
      store<u32>(sender, end, WINDOW_END)
      setSide(flow, direction, sideOf(flow, direction) | SIDE_UNACKNOWLEDGED)
      return isLiberal ? SEGMENT_GOOD : SEGMENT_IGNORED
    }
    return isLiberal ? SEGMENT_GOOD : SEGMENT_INVALID
  }
  if (!isAckSeen) return isLiberal ? SEGMENT_GOOD : SEGMENT_INVALID
  const isInWindow = receiverSize === 0 || isAfter(end, senderEnd - receiverSize - 1)
  if (!isInWindow || !isAckNew) return isLiberal ? SEGMENT_GOOD : SEGMENT_IGNORED
  updateWindows(context, flow, direction, sequence, end, acknowledged, most)
  return SEGMENT_GOOD
}

function updateWindows(
  context: u32,
  flow: u32,
  direction: u32,
  sequence: u32,
  end: u32,
  acknowledged: u32,
  most: u32,
): void {
  const sender = windowOf(flow, direction)
  const receiver = windowOf(flow, 1 - direction)
  const flags = flagsOf(context)
  const raw = load<u32>(context, PACKET_WINDOW)
  const offered = (flags & FLAG_SYN) !== 0 ? raw : raw << load<u8>(flow + direction, FLOW_SCALES)
  let side = sideOf(flow, direction)

  const size = offered + (most - acknowledged)
  if (load<u32>(sender, WINDOW_SIZE) < size) store<u32>(sender, size, WINDOW_SIZE)
  if (isAfter(end, load<u32>(sender, WINDOW_END))) {
    store<u32>(sender, end, WINDOW_END)
    side |= SIDE_UNACKNOWLEDGED
  }
  if ((flags & FLAG_ACK) !== 0) {
    if ((side & SIDE_ACKNOWLEDGES) === 0 || isAfter(acknowledged, load<u32>(sender, WINDOW_ACKNOWLEDGED))) {
      store<u32>(sender, acknowledged, WINDOW_ACKNOWLEDGED)
      side |= SIDE_ACKNOWLEDGES
    }
  }
  setSide(flow, direction, side)

  const mostEnd = load<u32>(sender, WINDOW_MOST_END)
  const receiverSize = load<u32>(receiver, WINDOW_SIZE)
  if (receiverSize !== 0 && isAfter(end, mostEnd)) store<u32>(receiver, receiverSize + (end - mostEnd), WINDOW_SIZE)
  if (isAfter(most + offered, load<u32>(receiver, WINDOW_MOST_END) - 1)) {
    store<u32>(receiver, most + offered + (offered === 0 ? 1 : 0), WINDOW_MOST_END)
  }
  if (acknowledged === load<u32>(receiver, WINDOW_END)) {
    setSide(flow, 1 - direction, sideOf(flow, 1 - direction) & ~SIDE_UNACKNOWLEDGED)
  }
  if (load<u32>(context, PACKET_KIND) === KIND_ACK) noteAck(context, flow, direction, sequence, end, acknowledged)
}

/** Counts retransmissions: the same segment again. */
function noteAck(context: u32, flow: u32, direction: u32, sequence: u32, end: u32, acknowledged: u32): void {
  const raw = load<u32>(context, PACKET_WINDOW)
  if (
    load<u8>(flow, FLOW_LAST_DIRECTION) === direction &&
    load<u32>(flow, FLOW_LAST_SEQUENCE) === sequence &&
    load<u32>(flow, FLOW_LAST_ACKNOWLEDGED) === acknowledged &&
    load<u32>(flow, FLOW_LAST_END) === end &&
    load<u16>(flow, FLOW_LAST_WINDOW) === raw
  ) {
    const times = <u32>load<u8>(flow, FLOW_RETRANSMITTED)
    store<u8>(flow, <u8>min<u32>(times + 1, 255), FLOW_RETRANSMITTED)
    return
  }
  store<u8>(flow, <u8>direction, FLOW_LAST_DIRECTION)
  store<u32>(flow, sequence, FLOW_LAST_SEQUENCE)
  store<u32>(flow, acknowledged, FLOW_LAST_ACKNOWLEDGED)
  store<u32>(flow, end, FLOW_LAST_END)
  store<u16>(flow, <u16>raw, FLOW_LAST_WINDOW)
  store<u8>(flow, 0, FLOW_RETRANSMITTED)
}

/** Notes a segment that is let through while nobody knows whether it is good. */
export function noteIgnored(context: u32, flow: u32, direction: u32): void {
  store<u8>(flow, <u8>load<u32>(context, PACKET_KIND), FLOW_LAST_KIND)
  store<u8>(flow, <u8>direction, FLOW_LAST_DIRECTION)
  store<u32>(flow, load<u32>(context, PACKET_SEQUENCE), FLOW_LAST_SEQUENCE)
  store<u32>(flow, load<u32>(context, PACKET_SEGMENT_END), FLOW_LAST_END)
  store<u16>(flow, <u16>load<u32>(context, PACKET_WINDOW), FLOW_LAST_WINDOW)
}

/** Takes what was noted of a SYN for what its side has said: the answer shows that it was good. */
export function takeIgnored(flow: u32): void {
  const side = <u32>load<u8>(flow, FLOW_LAST_DIRECTION)
  const window = windowOf(flow, side)
  const end = load<u32>(flow, FLOW_LAST_END)
  store<u32>(window, end, WINDOW_END)
  store<u32>(window, end, WINDOW_MOST_END)
  store<u32>(window, max<u32>(load<u16>(flow, FLOW_LAST_WINDOW), 1), WINDOW_SIZE)
  store<u8>(flow + side, load<u8>(flow, FLOW_LAST_SCALE), FLOW_SCALES)
  const flags = <u32>load<u8>(flow, FLOW_LAST_FLAGS) & ~LAST_CHALLENGE
  store<u8>(flow, <u8>flags, FLOW_LAST_FLAGS)
  setSide(flow, side, flags)
}

/** Nothing is known of a side any more. */
export function resetSide(flow: u32, side: u32): void {
  v128.store(windowOf(flow, side), i32x4(0, 0, 0, 0))
  store<u8>(flow + side, 0, FLOW_SCALES)
  setSide(flow, side, sideOf(flow, side) & SIDE_LIBERAL)
}
