import { isLinkLocal } from '../route/address-v6.inline.as'
import { PORT_V4, PORT_V4_COUNT, PORT_V6, PORT_V6_COUNT } from '../route/formats'
import {
  COUNT_EXPIRED,
  COUNT_REPLACED,
  FLOW_STATE,
  FLOW_STATUS,
  FLOW_WINDOWS,
  FLOWS_OWNER,
  FLOWS_OWNERS,
  FLOWS_PACKET,
  FLOWS_RULE_COUNT,
  FLOWS_RULES,
  KEY_DESTINATION,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_PROTOCOL,
  KEY_SOURCE,
  NO_FLOW,
  PACKET_OTHER_KEY,
  PACKET_THIRD_KEY,
  RULE_BYTES,
  RULE_COUNT,
  RULE_DESTINATION,
  RULE_KIND,
  RULE_MASQUERADE,
  RULE_OUT_PORT,
  RULE_PORTS,
  RULE_TARGET,
  STATE_CLOSE,
  STATE_SYN_SENT,
  STATE_TIME_WAIT,
  STATUS_MASQUERADED,
  STATUS_SETTLED,
  STATUS_SOURCE,
  TRANSLATE_NO_ADDRESS,
  TRANSLATE_NO_PORT,
  TRANSLATED,
  TUPLE_ADDRESSES,
  WINDOW_END,
} from './formats'
import { hashOf } from './hash.inline.as'
import { ownerOf } from './owner.inline.as'
import { hasPorts, isIcmp, PROTOCOL_SCTP, sumAddresses } from './packet.inline.as'
import { addressOf, hasRules, isWithin, setAddress } from './publish.inline.as'
import { copyKey, countOne, endFlow, enter, find, flowAt, hasExpired, leave, numberOf, setKey } from './table.inline.as'
import { isAfter } from './tcp-window.inline.as'

/** Ports that are tried for a new flow, after its own. */
const MOST_TRIES: u32 = 128

/**
 * Gives the source of a flow another port, where what would answer to its own
 * is another flow's: one of the same kind, as Linux has them. False for none.
 */
export function makeFree(flows: u32, answer: u32): bool {
  const own = <u32>bswap<u16>(load<u16>(answer + placeOfPort(answer)))
  const lowest: u32 = own < 512 ? 1 : own < 1024 ? 600 : 1024
  const highest: u32 = own < 512 ? 511 : own < 1024 ? 1023 : 65_535
  return choosePort(flows, answer, lowest, highest, <u32>(hashOf(flows, answer) >> 8), 0)
}

/**
 * Whether no packet of a flow has left so far, where it is known: whoever
 * invents packets that go nowhere must not hold what others need, and what
 * answers to none that has left is no answer. Linux enters a flow then.
 */
export function isUnheard(flows: u32, flow: u32): bool {
  return hasRules(flows) && (<u32>load<u16>(flow, FLOW_STATUS) & STATUS_SETTLED) === 0
}

/** Whether no flow has this key; one that has expired is forgotten, and one that nobody has heard of. */
export function isFree(flows: u32, tuple: u32): bool {
  const reference = find(flows, tuple)
  if (reference === NO_FLOW) return true
  const flow = flowAt(flows, reference)
  if (!hasExpired(flows, flow)) {
    if (!isUnheard(flows, flow)) return false
  } else countOne(flows, COUNT_EXPIRED)
  endFlow(flows, flow)
  return true
}

/** Decides by which source the packets of a flow leave that opened it: TRANSLATED, or why they do not leave. */
export function settle(flows: u32, flow: u32, line: u32, port: u32): u32 {
  const tuple = flows + FLOWS_PACKET + <u32>PACKET_THIRD_KEY
  copyKey(flow, 0, tuple)
  let rule = load<u32>(flows, FLOWS_RULES)
  for (const end = rule + load<u32>(flows, FLOWS_RULE_COUNT) * RULE_BYTES; rule < end; rule += RULE_BYTES) {
    const kind = <u32>load<u8>(rule, RULE_KIND)
    if (kind === RULE_DESTINATION || load<u32>(rule, RULE_OUT_PORT) !== port) continue
    if (!isWithin(rule, tuple, KEY_SOURCE)) continue
    let address = rule + <u32>RULE_TARGET
    if (kind === RULE_MASQUERADE) {
      address = addressOfPort(line, load<u8>(tuple, KEY_FAMILY))
      if (address === 0) return TRANSLATE_NO_ADDRESS
    }
    return giveSource(flows, flow, rule, address, kind)
  }
  return TRANSLATED
}

/** The first address of a port that is not of its link alone, or 0. */
function addressOfPort(line: u32, family: u32): u32 {
  if (family === 4) return load<u32>(line, PORT_V4_COUNT) !== 0 ? line + PORT_V4 : 0
  for (let at: u32 = line + PORT_V6, end = at + load<u32>(line, PORT_V6_COUNT) * 16; at < end; at += 16) {
    if (!isLinkLocal(at)) return at
  }
  return 0
}

/** Whether the source that a masqueraded flow leaves by is still an address of that port. */
export function isOfPort(flow: u32, line: u32, tuple: u32): bool {
  copyKey(flow, 1, tuple)
  const address = addressOf(tuple, KEY_DESTINATION)
  if (load<u8>(tuple, KEY_FAMILY) === 4) {
    for (let at: u32 = line + PORT_V4, end = at + load<u32>(line, PORT_V4_COUNT) * 4; at < end; at += 4) {
      if (load<u32>(at) === load<u32>(address)) return true
    }
    return false
  }
  for (let at: u32 = line + PORT_V6, end = at + load<u32>(line, PORT_V6_COUNT) * 16; at < end; at += 16) {
    if (!v128.any_true(v128.xor(v128.load(at), v128.load(address)))) return true
  }
  return false
}

/** Enters a flow anew under the key of what answers to its new source. */
function giveSource(flows: u32, flow: u32, rule: u32, first: u32, kind: u32): u32 {
  const answer = flows + FLOWS_PACKET + <u32>PACKET_OTHER_KEY
  copyKey(flow, 1, answer)
  const tuple = flows + FLOWS_PACKET + <u32>PACKET_THIRD_KEY
  // It may have had to give its own port up before anybody knew by which address it leaves.
  store<u16>(answer + placeOfPort(answer), load<u16>(tuple, KEY_PORTS))
  setAddress(answer, KEY_DESTINATION, first)
  clearDestination(tuple)
  const start = <u32>hashOf(flows, tuple)
  const count = load<u32>(rule, RULE_COUNT)
  if (count > 1) {
    store<u16>(tuple, 0, KEY_PORTS)
    addTo(answer, <u32>hashOf(flows, tuple) % count)
  }
  const reference = (numberOf(flows, flow) << 1) | 1
  const lowest = <u32>load<u16>(rule, RULE_PORTS)
  const highest = <u32>load<u16>(rule, RULE_PORTS + 2)
  if (!choosePort(flows, answer, lowest, highest, start, flow)) return TRANSLATE_NO_PORT
  leave(flows, reference)
  setKey(flow, 1, answer)
  const bits = STATUS_SOURCE | (kind === RULE_MASQUERADE ? STATUS_MASQUERADED : 0)
  store<u16>(flow, <u16>(<u32>load<u16>(flow, FLOW_STATUS) | bits), FLOW_STATUS)
  return enter(flows, answer, reference) ? TRANSLATED : TRANSLATE_NO_PORT
}

/**
 * Leaves the source of a key alone. What is chosen by that is the same
 * whomever it speaks to: one port for one port, one address of a pool for one
 * host (RFC 4787, requirements 1 and 2).
 */
function clearDestination(tuple: u32): void {
  store<u32>(tuple, 0, KEY_DESTINATION)
  store<u16>(tuple, 0, KEY_PORTS + 2)
  if (load<u8>(tuple, KEY_FAMILY) === 6) memory.fill(tuple + <u32>TUPLE_ADDRESSES + 16, 0, 16)
}

/** Counts an address of a pool on, in its last four bytes. */
function addTo(answer: u32, steps: u32): void {
  const isIpv4 = load<u8>(answer, KEY_FAMILY) === 4
  const last = addressOf(answer, KEY_DESTINATION) + (isIpv4 ? 0 : 12)
  store<u32>(last, bswap<u32>(bswap<u32>(load<u32>(last)) + steps))
  if (!isIpv4) sumAddresses(answer)
}

/** Whether what has this key comes to this table's worker, and no flow has it. */
function isOurs(flows: u32, answer: u32): bool {
  if (load<u32>(flows, FLOWS_OWNERS) > 1 && ownerOf(flows, answer) !== load<u32>(flows, FLOWS_OWNER)) return false
  return isFree(flows, answer)
}

/**
 * Writes the first port, or identifier of ICMP, that no other flow has and by
 * which answers come to this worker: the flow's own where that may be given out,
 * else one of a bounded number from where nobody can foresee, and where all of
 * these are taken one whose connection has ended. Protocols without ports, and
 * SCTP, keep what they have.
 */
function choosePort(flows: u32, answer: u32, lowest: u32, highest: u32, start: u32, flow: u32): bool {
  const protocol = <u32>load<u8>(answer, KEY_PROTOCOL)
  const isEcho = isIcmp(protocol, load<u8>(answer, KEY_FAMILY))
  if (!isEcho && (!hasPorts(protocol) || protocol === PROTOCOL_SCTP)) return isFree(flows, answer)
  const at = answer + placeOfPort(answer)
  const own = <u32>bswap<u16>(load<u16>(at))
  if (own >= lowest && own <= highest && isOurs(flows, answer)) return true
  const count = highest - lowest + 1
  let port = lowest + (start % count)
  // Of so many ports one is this worker's.
  const most = min<u32>(MOST_TRIES * max<u32>(1, load<u32>(flows, FLOWS_OWNERS)), count)
  let ended: u32 = 0
  for (let tries: u32 = 0; tries < most; tries++) {
    store<u16>(at, bswap<u16>(<u16>port))
    if (isOurs(flows, answer)) return true
    if (ended === 0 && isPast(flows, find(flows, answer), flow)) ended = port
    port = port === highest ? lowest : port + 1
  }
  if (ended === 0) return false
  store<u16>(at, bswap<u16>(<u16>ended))
  countOne(flows, COUNT_REPLACED)
  endFlow(flows, flowAt(flows, find(flows, answer)))
  return true
}

/**
 * Whether the connection of that reference has ended, and `flow` begins one
 * with numbers beyond its own, so that no late segment is taken for the other's
 * (RFC 6191), as Linux does it.
 */
function isPast(flows: u32, reference: u32, flow: u32): bool {
  if (reference === NO_FLOW || (reference & 1) === 0) return false
  if (flow === 0 || load<u8>(flow, FLOW_STATE) !== STATE_SYN_SENT) return false
  const past = flowAt(flows, reference)
  const state = <u32>load<u8>(past, FLOW_STATE)
  if (state !== STATE_TIME_WAIT && state !== STATE_CLOSE) return false
  return isAfter(load<u32>(flow, FLOW_WINDOWS + WINDOW_END), load<u32>(past, FLOW_WINDOWS + WINDOW_END))
}

/** Where the key of what answers has the port of the source that is translated, or the identifier of ICMP. */
function placeOfPort(answer: u32): u32 {
  return isIcmp(load<u8>(answer, KEY_PROTOCOL), load<u8>(answer, KEY_FAMILY)) ? KEY_PORTS : KEY_PORTS + 2
}
