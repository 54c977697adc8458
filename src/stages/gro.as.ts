import { endPending, PENDING_END, PENDING_NEXT, takePending } from '../engine/pending.inline.as'
import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  CACHE_BYTES,
  CLASS_65536,
  COPIED_BEFORE,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  FLAG_CHECKSUM_MISSING,
  FLAG_FIXED_ID,
  FLAG_IPV6,
  FLAG_TCP,
  FLAGS_SEGMENT_SHIFT,
  HEADROOM_BYTES,
  MOST_IN_BUNDLE,
} from '../memory/formats'
import { poolTake } from '../memory/pool.as'
import { release } from '../memory/pool.inline.as'
import { foldSum } from '../wire/checksum.inline.as'
import { entryAt, findFlow, findOldest, findRoom, keep, letGo } from './gro-flows.inline.as'
import { readHeaders } from './gro-headers.inline.as'
import {
  ENTRY_ALONE,
  ENTRY_COUNT,
  ENTRY_FIXED_ID,
  ENTRY_NETWORK,
  ENTRY_NEXT_SEQUENCE,
  ENTRY_OFFLOAD,
  ENTRY_PAYLOAD,
  ENTRY_ROOM,
  ENTRY_SEGMENT,
  GRO_FRAME,
  GRO_INCOMING,
  GRO_ORDER_COUNT,
  GRO_PENDING,
} from './gro-layout.inline.as'
import { canFollow, hasToEnd } from './gro-rules.inline.as'
import { GRO_APPENDED, GRO_MADE } from './offload-state'
import {
  checksumOf,
  pseudoSum,
  setNetworkLength,
  TCP_FIN,
  TCP_FLAGS_WORD,
  TCP_PSH,
  transportOf,
  UDP_LENGTH,
} from './transport.inline.as'

const MOST_IP_BYTES: u32 = 65535
const LARGE_FRAME_BYTES: u32 = 65536
/** For one packet at most: one that had to make room or was ended, and itself. */
const MOST_FOR_ONE: u32 = 3 * DESCRIPTOR_BYTES

/** Merges packets of the bundle with each other and with those that wait; `kinds` are FLAG_TCP and FLAG_UDP. */
export function gro(pool: u32, state: u32, bundle: u32, kinds: u32): void {
  takePending(state, state + GRO_PENDING, bundle)
  const end = load<u32>(state, PENDING_END)
  const last = bundle + BUNDLE_DESCRIPTORS + MOST_IN_BUNDLE * DESCRIPTOR_BYTES - MOST_FOR_ONE
  let out = bundle + BUNDLE_DESCRIPTORS
  let next = load<u32>(state, PENDING_NEXT)
  for (; next < end && out <= last; next += DESCRIPTOR_BYTES) {
    if (readHeaders(state + GRO_INCOMING, next, kinds)) out = meet(pool, state, out)
    else {
      v128.store(out, v128.load(next))
      out += DESCRIPTOR_BYTES
    }
  }
  endPending(state, next, bundle, out)
}

/** Puts all that waits into the bundle, in the order in which it came. */
export function groFlush(state: u32, bundle: u32): void {
  const count = load<u32>(state, GRO_ORDER_COUNT)
  let out = bundle + BUNDLE_DESCRIPTORS
  for (let place: u32 = 0; place < count; place++) {
    const entry = entryAt(state, place)
    if (entry !== 0) out = end(state, entry, out)
  }
  store<u32>(state, 0, GRO_ORDER_COUNT)
  store<u32>(bundle, (out - bundle - BUNDLE_DESCRIPTORS) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}

/** Gives the frames of all that waits back. */
export function groClose(pool: u32, state: u32): void {
  const count = load<u32>(state, GRO_ORDER_COUNT)
  for (let place: u32 = 0; place < count; place++) {
    const entry = entryAt(state, place)
    if (entry !== 0) release(pool, load<u32>(entry, DESCRIPTOR_ADDRESS))
  }
  store<u32>(state, 0, GRO_ORDER_COUNT)
}

/** The packet at GRO_INCOMING joins those that wait, waits itself, or goes on: `dev_gro_receive`. */
function meet(pool: u32, state: u32, first: u32): u32 {
  const incoming = state + GRO_INCOMING
  const entry = findFlow(state, incoming)
  let out = first
  if (entry !== 0 && canFollow(entry, incoming)) {
    const isLast = hasToEnd(incoming, entry)
    if (append(pool, state, entry, incoming)) return isLast ? end(state, entry, out) : out
  }
  if (entry !== 0) out = end(state, entry, out)
  if (load<u8>(incoming, ENTRY_ALONE) !== 0 || hasToEnd(incoming, 0)) {
    v128.store(out, v128.load(incoming))
    return out + DESCRIPTOR_BYTES
  }
  let room = findRoom(state, incoming)
  if (room === 0) {
    room = findOldest(state, incoming)
    out = end(state, room, out)
  }
  keep(state, room, incoming)
  return out
}

/** Copies the payload behind that of the entry; false where there is no room, or no frame. */
function append(pool: u32, state: u32, entry: u32, incoming: u32): bool {
  const captured = load<u32>(entry, DESCRIPTOR_CAPTURED)
  const payload = load<u32>(incoming, ENTRY_PAYLOAD)
  const bytes = load<u32>(incoming, DESCRIPTOR_CAPTURED) - payload
  if (captured + bytes > MOST_IP_BYTES + load<u32>(entry, ENTRY_NETWORK)) return false
  if (load<u32>(entry, ENTRY_ROOM) === 0 && !moveToLarge(pool, state, entry)) return false
  if (captured + bytes > load<u32>(entry, ENTRY_ROOM)) return false
  const packet = load<u32>(incoming, DESCRIPTOR_ADDRESS)
  const target = load<u32>(entry, DESCRIPTOR_ADDRESS)
  memory.copy(target + captured, packet + payload, bytes)
  if (load<u32>(entry, ENTRY_OFFLOAD) & FLAG_TCP) {
    const transport = transportOf(load<u32>(entry, ENTRY_OFFLOAD))
    const flags = load<u32>(packet + transport, TCP_FLAGS_WORD) & ((TCP_FIN | TCP_PSH) << 8)
    store<u32>(target + transport, load<u32>(target + transport, TCP_FLAGS_WORD) | flags, TCP_FLAGS_WORD)
  }
  release(pool, packet)
  store<u32>(entry, captured + bytes, DESCRIPTOR_CAPTURED)
  store<u32>(entry, captured + bytes, DESCRIPTOR_WIRE)
  store<u32>(entry, load<u32>(incoming, ENTRY_NEXT_SEQUENCE), ENTRY_NEXT_SEQUENCE)
  store<u32>(entry, load<u32>(entry, ENTRY_COUNT) + 1, ENTRY_COUNT)
  store<f64>(state, load<f64>(state, GRO_APPENDED) + 1, GRO_APPENDED)
  return true
}

/** A packet that is alone lies in the frame that it came in; one that grows is moved, with its time and metadata, where it is no longer than such a frame. */
function moveToLarge(pool: u32, state: u32, entry: u32): bool {
  const captured = load<u32>(entry, DESCRIPTOR_CAPTURED)
  if (captured > LARGE_FRAME_BYTES - HEADROOM_BYTES) return false
  const frame = state + GRO_FRAME
  store<u32>(frame, 0, BUNDLE_COUNT)
  if (poolTake(pool + CLASS_65536 * CACHE_BYTES, frame, 1) === 0) return false
  const from = load<u32>(entry, DESCRIPTOR_ADDRESS)
  const to = load<u32>(frame + BUNDLE_DESCRIPTORS, DESCRIPTOR_ADDRESS)
  memory.copy(to - COPIED_BEFORE, from - COPIED_BEFORE, captured + COPIED_BEFORE)
  release(pool, from)
  store<u32>(entry, to, DESCRIPTOR_ADDRESS)
  store<u32>(entry, LARGE_FRAME_BYTES - (to & (LARGE_FRAME_BYTES - 1)), ENTRY_ROOM)
  return true
}

/** Takes an entry out and appends its packet at `out`: `inet_gro_complete`, `tcp4_gro_complete` and their like. */
function end(state: u32, entry: u32, out: u32): u32 {
  letGo(state, entry)
  if (load<u32>(entry, ENTRY_COUNT) > 1) {
    finish(entry)
    store<f64>(state, load<f64>(state, GRO_MADE) + 1, GRO_MADE)
  }
  v128.store(out, v128.load(entry))
  return out + DESCRIPTOR_BYTES
}

/** Makes the headers of a merged packet right, but for the checksum, which is left to whoever cuts it. */
function finish(entry: u32): void {
  const offload = load<u32>(entry, ENTRY_OFFLOAD)
  const packet = load<u32>(entry, DESCRIPTOR_ADDRESS)
  const network = packet + load<u32>(entry, ENTRY_NETWORK)
  const transport = packet + transportOf(offload)
  const end = packet + load<u32>(entry, DESCRIPTOR_CAPTURED)
  setNetworkLength(offload, network, end - network)
  if ((offload & FLAG_TCP) === 0) store<u16>(transport, bswap<u16>(<u16>(end - transport)), UDP_LENGTH)
  store<u16>(transport + checksumOf(offload), <u16>foldSum(pseudoSum(offload, network, end - transport)))
  const isFixed: u32 = (offload & FLAG_IPV6) === 0 && load<u8>(entry, ENTRY_FIXED_ID) !== 0 ? FLAG_FIXED_ID : 0
  const segment = load<u32>(entry, ENTRY_SEGMENT) << FLAGS_SEGMENT_SHIFT
  store<u32>(entry, offload | FLAG_CHECKSUM_MISSING | isFixed | segment, DESCRIPTOR_FLAGS)
}
