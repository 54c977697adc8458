import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  CACHE_BYTES,
  CLASS_2048,
  COPIED_BEFORE,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  METADATA_BYTES,
  METADATA_HAS_TIME,
  METADATA_HAS_TRACE,
  METADATA_VALID,
} from '../memory/formats'
import { poolTake } from '../memory/pool.as'
import { release } from '../memory/pool.inline.as'
import { backTo4, checkQuoted4, message4, writeAnswer4 } from './error-v4.inline.as'
import { backTo6, checkQuoted6, message6, writeAnswer6 } from './error-v6.inline.as'
import {
  ERROR_TIME_EXCEEDED,
  ERROR_TOO_BIG,
  ERROR_UNREACHABLE,
  ERRORS_FRAME,
  FAULT_FROM_NO_HOST,
  FAULT_NO_ADDRESS,
  FAULT_NO_FRAME,
  FAULT_NO_NOTE,
  FAULT_TO_MANY,
  NO_FAULT,
} from './error-words.inline.as'
import { ERRORS_DROPS, ERRORS_READER, ERRORS_TABLES } from './errors-formats'
import { HOP_WAY, KIND_LOCAL, NOTE_REASON_BEFORE, NOTE_TIME_EXCEEDED, NOTE_TOO_BIG } from './formats'
import { NOTED_BEFORE } from './fragments.inline.as'
import { enter, leave } from './readers.inline.as'
import { addressFor, NO_MESSAGE, SOURCE_4, SOURCE_6 } from './sources.inline.as'
import { takeTokens } from './targets.inline.as'
import { wayKind } from './way.inline.as'
import { hopLine } from './ways.inline.as'

const ETHERTYPE_IPV4: u32 = 0x0008
const ETHERTYPE_IPV6: u32 = 0xdd86

/** Turns each packet of the bundle into what its source is to be told, or drops it with the reason. */
export function errors(state: u32, pool: u32, bundle: u32): void {
  const reader = load<u32>(state, ERRORS_READER)
  const first = bundle + BUNDLE_DESCRIPTORS
  const last = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let out = first
  enter(load<u32>(state, ERRORS_TABLES), reader)
  for (let at = first; at < last; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const fault = answer(state, pool, at, packet, out)
    release(pool, packet)
    if (fault === NO_FAULT) out += DESCRIPTOR_BYTES
    else {
      const counter = load<u32>(state, ERRORS_DROPS) + ((fault - 1) << 3)
      store<f64>(counter, load<f64>(counter) + 1)
    }
  }
  leave(reader)
  store<u32>(bundle, (out - first) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}

/** Writes the answer and its descriptor at `out`, which may be that of the packet; else gives what speaks against it. */
function answer(state: u32, pool: u32, descriptor: u32, packet: u32, out: u32): u32 {
  const reason: u32 = load<u8>(packet - NOTE_REASON_BEFORE)
  const captured = load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  const type: u32 = captured < 14 ? 0 : load<u16>(packet, 12)
  const isIpv6 = type === ETHERTYPE_IPV6
  const message = isIpv6 ? message6(reason) : type === ETHERTYPE_IPV4 ? message4(reason) : NO_MESSAGE
  if (message === NO_MESSAGE) return FAULT_NO_NOTE
  // RFC 4443, 2.4 (e.3): of those alone that are too big may a group's source hear.
  const isToGroup = (load<u8>(packet) & 1) !== 0 && !(isIpv6 && reason === NOTE_TOO_BIG)
  if (isToGroup) return FAULT_TO_MANY
  const fault = isIpv6 ? checkQuoted6(packet, captured, reason) : checkQuoted4(packet, captured)
  if (fault !== NO_FAULT) return fault
  return write(state, pool, descriptor, packet, out, message)
}

/** Answers a packet of which nothing speaks against it but limits and what the router lacks. */
function write(state: u32, pool: u32, descriptor: u32, packet: u32, out: u32, message: u32): u32 {
  const tables = load<u32>(state, ERRORS_TABLES)
  const isIpv6 = load<u16>(packet, 12) === ETHERTYPE_IPV6
  const reason: u32 = load<u8>(packet - NOTE_REASON_BEFORE)
  const back = isIpv6 ? backTo6(tables, descriptor, packet) : backTo4(tables, descriptor, packet)
  const way = load<u32>(hopLine(tables, back), HOP_WAY)
  // One of the router's own addresses, or of its networks' broadcast.
  if (wayKind(way) === KIND_LOCAL) return FAULT_FROM_NO_HOST
  const source = addressFor(state, tables, packet, back, isIpv6)
  if (source === 0) return FAULT_NO_ADDRESS
  const target = packet + (isIpv6 ? SOURCE_6 : SOURCE_4)
  const limit = takeTokens(state, kindOf(reason), target, isIpv6 ? 6 : 4, reason !== NOTE_TOO_BIG)
  if (limit !== NO_FAULT) return limit
  const room = state + ERRORS_FRAME
  store<u32>(room, 0, BUNDLE_COUNT)
  if (poolTake(pool + CLASS_2048 * CACHE_BYTES, room, 1) === 0) return FAULT_NO_FRAME
  const to = load<u32>(room, BUNDLE_DESCRIPTORS + DESCRIPTOR_ADDRESS)
  const bytes = isIpv6
    ? writeAnswer6(state, tables, packet, to, source, message)
    : writeAnswer4(state, tables, packet, to, source, message, way)
  copyMetadata(packet, to)
  store<u32>(out, to, DESCRIPTOR_ADDRESS)
  store<u32>(out, bytes, DESCRIPTOR_WIRE)
  store<u32>(out, bytes, DESCRIPTOR_CAPTURED)
  store<u32>(out, 0, DESCRIPTOR_FLAGS)
  return NO_FAULT
}

function kindOf(reason: u32): u32 {
  if (reason === NOTE_TIME_EXCEEDED) return ERROR_TIME_EXCEEDED
  return reason === NOTE_TOO_BIG ? ERROR_TOO_BIG : ERROR_UNREACHABLE
}

/** Who follows the packet follows what has become of it; all else was the packet's own. */
function copyMetadata(packet: u32, to: u32): void {
  memory.fill(to - NOTED_BEFORE, 0, NOTED_BEFORE - COPIED_BEFORE)
  memory.copy(to - COPIED_BEFORE, packet - COPIED_BEFORE, COPIED_BEFORE)
  const valid = to - METADATA_BYTES + METADATA_VALID
  store<u8>(valid, load<u8>(valid) & <u8>(METADATA_HAS_TRACE | METADATA_HAS_TIME))
}
