import { endPending, PENDING_END, PENDING_NEXT, takePending } from '../engine/pending.inline.as'
import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  FLAG_CHECKSUM_MISSING,
  FLAG_TCP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_MASK,
  FLAGS_TRANSPORT_SHIFT,
  MOST_IN_BUNDLE,
} from '../memory/formats'
import { release } from '../memory/pool.inline.as'
import { addBytes, foldSum } from '../wire/checksum.inline.as'
import {
  HOP_WAY,
  KIND_FORWARD,
  KIND_UNRESOLVED,
  NOTE_FRAGMENT,
  NOTE_HOP_BEFORE,
  NOTE_IDENTIFICATION_BEFORE,
  NOTE_REASON_BEFORE,
} from './formats'
import { FRAGMENT_DROPS, FRAGMENT_IDENTIFY, FRAGMENT_OUTPUT, FRAGMENT_TABLES } from './fragment-formats'
import {
  FIELD,
  HEADER_BYTES,
  headerBytesOf,
  laterHeaderBytes,
  NETWORK,
  nextIdentification,
  OFFSET_MASK,
  TOTAL,
  takeFragmentFrame,
  writeFragment,
} from './fragments.inline.as'
import { wayKind, wayMtu } from './way.inline.as'
import { hopLine } from './ways.inline.as'

const CUT: usize = 8
const PENDING: u32 = 64

/** Drops, f64 each. */
const NO_FRAME: u32 = 0
const MALFORMED: u32 = 8
const MERGED: u32 = 16

const ETHERTYPE_IPV4: u32 = 0x0008
/** Every link carries that much (RFC 791, 3.2). */
const LEAST_MTU: u32 = 68
/** A datagram is no longer, put together. */
const MOST_BYTES: u32 = 0xffff
const UNCUT: u32 = 0xffffffff
const IDENTIFICATION: usize = 18
/** Offset and "more fragments", as they are loaded. */
const IS_FRAGMENT: u32 = 0xff3f

/** Cuts what is noted so, as many as fit into the bundle of fragments; the state keeps the rest. */
export function fragment(pool: u32, state: u32, bundle: u32): void {
  takePending(state, state + PENDING, bundle)
  const end = load<u32>(state, PENDING_END)
  let out = bundle + BUNDLE_DESCRIPTORS
  let next = load<u32>(state, PENDING_NEXT)
  for (; next < end; next += DESCRIPTOR_BYTES) {
    const packet = load<u32>(next, DESCRIPTOR_ADDRESS)
    if (<u32>load<u8>(packet - NOTE_REASON_BEFORE) !== NOTE_FRAGMENT) {
      v128.store(out, v128.load(next))
      out += DESCRIPTOR_BYTES
    } else if (!divide(pool, state, next, packet)) break
  }
  endPending(state, next, bundle, out)
}

/** Whether the packet is done with: cut, dropped, or handed on as it is. */
function divide(pool: u32, state: u32, descriptor: u32, packet: u32): bool {
  const output = load<u32>(state, FRAGMENT_OUTPUT)
  if (load<u32>(output, BUNDLE_COUNT) === MOST_IN_BUNDLE) return false
  const fault = faultOf(descriptor, packet)
  if (fault !== UNCUT) return drop(pool, state, packet, fault)
  const mtu = mtuOf(load<u32>(state, FRAGMENT_TABLES), load<u32>(packet - NOTE_HOP_BEFORE))
  if (load<u32>(state, CUT) === 0) {
    // Another next hop by now, or it has become wider.
    if (<u32>bswap<u16>(load<u16>(packet, TOTAL)) <= mtu) return append(output, descriptor)
    complete(descriptor, packet)
    identify(state, packet)
  }
  return cut(pool, state, packet, mtu)
}

/** Notes by which identification the pieces leave of a packet that was whole; a fragment has a note. */
function identify(state: u32, packet: u32): void {
  if ((<u32>load<u16>(packet, FIELD) & IS_FRAGMENT) !== 0) return
  const from = load<u32>(state, FRAGMENT_IDENTIFY)
  const identification = from === 0 ? load<u16>(packet, IDENTIFICATION) : <u16>nextIdentification(from)
  store<u16>(packet - NOTE_IDENTIFICATION_BEFORE, identification)
}

/** Which drop a packet is, or UNCUT. */
function faultOf(descriptor: u32, packet: u32): u32 {
  const captured = load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  if (load<u32>(descriptor, DESCRIPTOR_FLAGS) >> FLAGS_SEGMENT_SHIFT !== 0) return MERGED
  if (captured < NETWORK + HEADER_BYTES || <u32>load<u16>(packet, 12) !== ETHERTYPE_IPV4) return MALFORMED
  const total: u32 = bswap<u16>(load<u16>(packet, TOTAL))
  const header = headerBytesOf(packet)
  if (header < HEADER_BYTES || header > total || NETWORK + total > captured) return MALFORMED
  const offset = (<u32>bswap<u16>(load<u16>(packet, FIELD)) & OFFSET_MASK) << 3
  return offset + total > MOST_BYTES ? MALFORMED : UNCUT
}

/** Of the next hop as it is now; unbounded where nothing is sent by it any more, which `forward` will say. */
function mtuOf(tables: u32, hop: u32): u32 {
  const way = load<u32>(hopLine(tables, hop), HOP_WAY)
  const kind = wayKind(way)
  if (kind !== KIND_FORWARD && kind !== KIND_UNRESOLVED) return MOST_BYTES
  return max<u32>(LEAST_MTU, wayMtu(way))
}

/** A transport checksum that was left to who sends is of the whole. */
function complete(descriptor: u32, packet: u32): void {
  const flags = load<u32>(descriptor, DESCRIPTOR_FLAGS)
  if ((flags & FLAG_CHECKSUM_MISSING) === 0) return
  const end = NETWORK + <u32>bswap<u16>(load<u16>(packet, TOTAL))
  const transport = (flags >> FLAGS_TRANSPORT_SHIFT) & FLAGS_TRANSPORT_MASK
  const field = transport + ((flags & FLAG_TCP) !== 0 ? 16 : 6)
  store<u32>(descriptor, flags & ~FLAG_CHECKSUM_MISSING, DESCRIPTOR_FLAGS)
  if (field + 2 > end) return
  const sum = foldSum(addBytes(0, packet + transport, end - transport)) ^ 0xffff
  // 0 would mean that a datagram has none.
  store<u16>(packet + field, <u16>(sum === 0 && (flags & FLAG_TCP) === 0 ? 0xffff : sum))
}

/** Makes fragments, as many as fit; whether that were all. */
function cut(pool: u32, state: u32, packet: u32, mtu: u32): bool {
  const output = load<u32>(state, FRAGMENT_OUTPUT)
  const header = headerBytesOf(packet)
  const later = laterHeaderBytes(packet, header)
  const payload = <u32>bswap<u16>(load<u16>(packet, TOTAL)) - header
  let at = load<u32>(state, CUT)
  while (at < payload) {
    if (load<u32>(output, BUNDLE_COUNT) === MOST_IN_BUNDLE) {
      store<u32>(state, at, CUT)
      return false
    }
    const room = mtu - (at === 0 ? header : later)
    // Offsets count in eights (RFC 791, 3.1).
    const bytes = payload - at <= room ? payload - at : room & ~7
    const frame = takeFragmentFrame(pool, state, NETWORK + (at === 0 ? header : later) + bytes)
    if (frame === 0) break
    append(output, frame)
    const target = output + BUNDLE_DESCRIPTORS + (load<u32>(output, BUNDLE_COUNT) - 1) * DESCRIPTOR_BYTES
    writeFragment(target, packet, header, at, bytes, at + bytes < payload)
    at += bytes
  }
  store<u32>(state, 0, CUT)
  // What was made so far is of no use to who puts it together, but nobody can take it back.
  if (at < payload) return drop(pool, state, packet, NO_FRAME)
  release(pool, packet)
  return true
}

function append(output: u32, descriptor: u32): bool {
  const count = load<u32>(output, BUNDLE_COUNT)
  v128.store(output + BUNDLE_DESCRIPTORS + count * DESCRIPTOR_BYTES, v128.load(descriptor))
  store<u32>(output, count + 1, BUNDLE_COUNT)
  return true
}

function drop(pool: u32, state: u32, packet: u32, reason: u32): bool {
  release(pool, packet)
  const counter = load<u32>(state, FRAGMENT_DROPS) + reason
  store<f64>(counter, load<f64>(counter) + 1)
  return true
}
