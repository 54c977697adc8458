import { endPending, PENDING_END, PENDING_NEXT, takePending } from '../engine/pending.inline.as'
import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  CACHE_BYTES,
  CLASS_2048,
  CLASS_4096,
  CLASS_65536,
  CLASS_524288,
  COPIED_BEFORE,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  FLAG_CHECKSUM_MISSING,
  FLAG_ECN,
  FLAG_FIXED_ID,
  FLAG_IPV6,
  FLAG_TCP,
  FLAG_UDP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_MASK,
  FLAGS_TRANSPORT_SHIFT,
  MOST_IN_BUNDLE,
} from '../memory/formats'
import { poolTake } from '../memory/pool.as'
import { release } from '../memory/pool.inline.as'
import { addBytes, foldSum } from '../wire/checksum.inline.as'
import { SEGMENT_MADE, SEGMENT_PACKETS } from './offload-state'
import {
  checksumOf,
  IPV4_BYTES,
  IPV4_ID,
  IPV6_BYTES,
  networkOf,
  pseudoSum,
  setNetworkLength,
  TCP_BYTES,
  TCP_CWR,
  TCP_FIN,
  TCP_FLAGS,
  TCP_PSH,
  TCP_SEQUENCE,
  tcpBytesOf,
  transportOf,
  UDP_BYTES,
  UDP_LENGTH,
} from './transport.inline.as'

/**
 * The state, in bytes:
 *
 *     0     u32   the next descriptor of the bundle to look at, and where they end (`engine/pending.inline.as.ts`)
 *     8     u32   payload bytes of the packet at `next` that have been cut off, and how many segments they made
 *     16    f64   counters (`offload-state.ts`)
 *     64          room for one frame, as a bundle
 *     128         the bundle's descriptors
 */
const SEGMENT_CUT_BYTES: usize = 8
const SEGMENT_CUT: usize = 12
const SEGMENT_FRAME: u32 = 64
const SEGMENT_PENDING: u32 = 128

/** Drops, f64 each. */
const SEGMENT_NO_FRAME: usize = 0
const SEGMENT_MALFORMED: u32 = 8

/** Room of a frame from where the packet begins, at the farthest, to its end. */
const ROOM_2048: u32 = 1710
const ROOM_4096: u32 = 3502
const ROOM_65536: u32 = 65390

const KINDS: u32 = FLAG_TCP | FLAG_UDP
/** What says where the transport header is, and of which kind. */
const PLACE: u32 = (FLAGS_TRANSPORT_MASK << FLAGS_TRANSPORT_SHIFT) | KINDS | FLAG_IPV6

/**
 * Does what is left to do to the packets of the bundle, unless who comes next
 * does it: `can` has FLAG_TCP and FLAG_UDP where it cuts such packets, and
 * FLAG_CHECKSUM_MISSING where it fills in checksums.
 */
export function segment(pool: u32, state: u32, bundle: u32, can: u32, drops: u32): void {
  takePending(state, state + SEGMENT_PENDING, bundle)
  const end = load<u32>(state, PENDING_END)
  const last = bundle + BUNDLE_DESCRIPTORS + MOST_IN_BUNDLE * DESCRIPTOR_BYTES
  let out = bundle + BUNDLE_DESCRIPTORS
  let next = load<u32>(state, PENDING_NEXT)
  for (; next < end && out < last; next += DESCRIPTOR_BYTES) {
    const flags = load<u32>(next, DESCRIPTOR_FLAGS)
    if (flags >> FLAGS_SEGMENT_SHIFT !== 0 && (flags & can & KINDS) === 0) {
      out = cut(pool, state, next, out, last, can, drops)
      if (load<u32>(state, SEGMENT_CUT) !== 0) break
    } else if (flags & FLAG_CHECKSUM_MISSING && (can & FLAG_CHECKSUM_MISSING) === 0) {
      if (headerBytes(next) === 0) drop(pool, next, drops + SEGMENT_MALFORMED)
      else {
        complete(next)
        v128.store(out, v128.load(next))
        out += DESCRIPTOR_BYTES
      }
    } else {
      v128.store(out, v128.load(next))
      out += DESCRIPTOR_BYTES
    }
  }
  endPending(state, next, bundle, out)
}

/** Bytes of all headers of a packet, up to its payload; 0 where its flags do not fit to it. */
function headerBytes(descriptor: u32): u32 {
  const flags = load<u32>(descriptor, DESCRIPTOR_FLAGS)
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const captured = load<u32>(descriptor, DESCRIPTOR_CAPTURED)
  const transport = transportOf(flags)
  const isTcp = (flags & FLAG_TCP) !== 0
  if ((flags & KINDS) === 0 || captured < transport + (isTcp ? TCP_BYTES : UDP_BYTES)) return 0
  const bytes = isTcp ? tcpBytesOf(packet + transport) : UDP_BYTES
  if ((isTcp && bytes < TCP_BYTES) || captured < transport + bytes) return 0
  const network = networkOf(packet)
  const isIpv6 = (flags & FLAG_IPV6) !== 0
  if (transport < network + (isIpv6 ? IPV6_BYTES : IPV4_BYTES)) return 0
  if (load<u8>(packet + network) >> 4 !== (isIpv6 ? 6 : 4)) return 0
  return transport + bytes
}

/**
 * Makes packets of one, as many as fit, and keeps count in the state where
 * not all did; the count is 0 when the packet is done.
 */
function cut(pool: u32, state: u32, descriptor: u32, first: u32, last: u32, can: u32, drops: u32): u32 {
  const headers = headerBytes(descriptor)
  if (headers === 0) {
    drop(pool, descriptor, drops + SEGMENT_MALFORMED)
    return first
  }
  const payload = load<u32>(descriptor, DESCRIPTOR_CAPTURED) - headers
  const most = load<u32>(descriptor, DESCRIPTOR_FLAGS) >> FLAGS_SEGMENT_SHIFT
  let at = load<u32>(state, SEGMENT_CUT_BYTES)
  let made = load<u32>(state, SEGMENT_CUT)
  let out = first
  let isOver = false
  for (; out < last && !isOver; out += DESCRIPTOR_BYTES) {
    const bytes = min<u32>(most, payload - at)
    if (!takeFrame(pool, state, headers + bytes)) {
      store<f64>(drops, load<f64>(drops, SEGMENT_NO_FRAME) + 1, SEGMENT_NO_FRAME)
      isOver = true
      break
    }
    v128.store(out, v128.load(state + SEGMENT_FRAME + BUNDLE_DESCRIPTORS))
    write(out, descriptor, headers, at, bytes, made, can)
    at += bytes
    made++
    isOver = at === payload
  }
  if (!isOver) {
    store<u32>(state, at, SEGMENT_CUT_BYTES)
    store<u32>(state, made, SEGMENT_CUT)
    return out
  }
  release(pool, load<u32>(descriptor, DESCRIPTOR_ADDRESS))
  store<u32>(state, 0, SEGMENT_CUT_BYTES)
  store<u32>(state, 0, SEGMENT_CUT)
  store<f64>(state, load<f64>(state, SEGMENT_PACKETS) + 1, SEGMENT_PACKETS)
  store<f64>(state, load<f64>(state, SEGMENT_MADE) + <f64>made, SEGMENT_MADE)
  return out
}

/** Takes a frame of the least class that has room; false where there is none. */
function takeFrame(pool: u32, state: u32, bytes: u32): bool {
  let size: u32 = CLASS_524288
  if (bytes <= ROOM_2048) size = CLASS_2048
  else if (bytes <= ROOM_4096) size = CLASS_4096
  else if (bytes <= ROOM_65536) size = CLASS_65536
  const frame = state + SEGMENT_FRAME
  store<u32>(frame, 0, BUNDLE_COUNT)
  return poolTake(pool + size * CACHE_BYTES, frame, 1) !== 0
}

/** Writes segment `index`, whose payload begins at `at` of the whole, into the frame of descriptor `target`. */
function write(target: u32, source: u32, headers: u32, at: u32, bytes: u32, index: u32, can: u32): void {
  const from = load<u32>(source, DESCRIPTOR_ADDRESS)
  const flags = load<u32>(source, DESCRIPTOR_FLAGS)
  const packet = load<u32>(target, DESCRIPTOR_ADDRESS)
  memory.copy(packet - COPIED_BEFORE, from - COPIED_BEFORE, headers + COPIED_BEFORE)
  memory.copy(packet + headers, from + headers + at, bytes)
  const network = packet + networkOf(packet)
  const transport = packet + transportOf(flags)
  const length = headers + bytes
  if ((flags & (FLAG_IPV6 | FLAG_FIXED_ID)) === 0) {
    store<u16>(network, bswap<u16>(<u16>(<u32>bswap<u16>(load<u16>(network, IPV4_ID)) + index)), IPV4_ID)
  }
  setNetworkLength(flags, network, packet + length - network)
  if (flags & FLAG_TCP) {
    store<u32>(transport, bswap<u32>(bswap<u32>(load<u32>(transport, TCP_SEQUENCE)) + at), TCP_SEQUENCE)
    const isLast = headers + at + bytes === load<u32>(source, DESCRIPTOR_CAPTURED)
    const cleared = (isLast ? 0 : TCP_FIN | TCP_PSH) | (index > 0 && flags & FLAG_ECN ? TCP_CWR : 0)
    store<u8>(transport, load<u8>(transport, TCP_FLAGS) & <u8>~cleared, TCP_FLAGS)
  } else store<u16>(transport, bswap<u16>(<u16>(packet + length - transport)), UDP_LENGTH)
  store<u16>(transport + checksumOf(flags), <u16>foldSum(pseudoSum(flags, network, packet + length - transport)))
  store<u32>(target, length, DESCRIPTOR_WIRE)
  store<u32>(target, length, DESCRIPTOR_CAPTURED)
  store<u32>(target, (flags & PLACE) | FLAG_CHECKSUM_MISSING, DESCRIPTOR_FLAGS)
  if ((can & FLAG_CHECKSUM_MISSING) === 0) complete(target)
}

/** Fills in the transport checksum, whose field holds the sum of the pseudo header. */
function complete(descriptor: u32): void {
  const flags = load<u32>(descriptor, DESCRIPTOR_FLAGS)
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  const transport = packet + transportOf(flags)
  const sum = foldSum(addBytes(0, transport, packet + load<u32>(descriptor, DESCRIPTOR_CAPTURED) - transport)) ^ 0xffff
  // 0 would mean that a datagram has none; 0xffff is the same number in one's complement.
  store<u16>(transport + checksumOf(flags), <u16>(sum === 0 && (flags & FLAG_TCP) === 0 ? 0xffff : sum))
  store<u32>(descriptor, 0, DESCRIPTOR_FLAGS)
}

function drop(pool: u32, descriptor: u32, counter: u32): void {
  release(pool, load<u32>(descriptor, DESCRIPTOR_ADDRESS))
  store<f64>(counter, load<f64>(counter) + 1)
}
