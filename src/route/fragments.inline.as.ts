import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  CACHE_BYTES,
  CLASS_2048,
  CLASS_4096,
  CLASS_65536,
  COPIED_BEFORE,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  METADATA_BYTES,
  METADATA_HAS_FLOW,
  METADATA_VALID,
} from '../memory/formats'
import { poolTake } from '../memory/pool.as'
import { addBytes, foldSum } from '../wire/checksum.inline.as'
import { IDENTIFY_COUNT, IDENTIFY_LOWEST, IDENTIFY_TAKEN, NOTE_REASON_BEFORE } from './formats'

/** Offsets from the packet's first byte (RFC 791, 3.1). */
export const NETWORK: u32 = 14
export const HEADER_BYTES: u32 = 20
export const TOTAL: usize = 16
export const FIELD: usize = 20
const CHECKSUM: usize = 24
/** The field of flags and offset, in the byte order of a number. */
const MORE_FRAGMENTS: u32 = 0x2000
export const OFFSET_MASK: u32 = 0x1fff
const FLAGS_MASK: u32 = 0xc000

/** Options (RFC 791, 3.1): the first two are one byte, others have a length; the highest bit says that each fragment has it. */
const OPTION_END: u32 = 0
const OPTION_NOTHING: u32 = 1
const OPTION_COPIED: u32 = 0x80

const FRAME: u32 = 32
/** Room of a frame from where the packet begins, at the farthest, to its end. */
const ROOM_2048: u32 = 1710
const ROOM_4096: u32 = 3502
/** Notes, and what else other rooms have before what is copied with a packet: of a new packet, zeros. */
export const NOTED_BEFORE: u32 = 72

export function headerBytesOf(packet: u32): u32 {
  return (<u32>load<u8>(packet, NETWORK) & 15) << 2
}

/** Bytes of the header of fragments but the first. */
export function laterHeaderBytes(packet: u32, header: u32): u32 {
  return HEADER_BYTES + copyOptions(packet + NETWORK, header, 0)
}

/**
 * Writes the options that each fragment has to `to`, unless that is 0, filled
 * up to four bytes; gives how many. From one on that is longer than the header
 * nothing is copied.
 */
function copyOptions(network: u32, header: u32, to: u32): u32 {
  let copied: u32 = 0
  let at = HEADER_BYTES
  while (at < header) {
    const option: u32 = load<u8>(network + at)
    if (option === OPTION_END) break
    if (option === OPTION_NOTHING) {
      at++
      continue
    }
    const length: u32 = at + 1 < header ? <u32>load<u8>(network + at, 1) : 0
    if (length < 2 || at + length > header) break
    if ((option & OPTION_COPIED) !== 0) {
      if (to !== 0) memory.copy(to + copied, network + at, length)
      copied += length
    }
    at += length
  }
  for (; (copied & 3) !== 0; copied++) if (to !== 0) store<u8>(to + copied, OPTION_END)
  return copied
}

/** A frame that has room, as the address of its descriptor; 0 where there is none. */
export function takeFragmentFrame(pool: u32, state: u32, bytes: u32): u32 {
  const size: u32 = bytes <= ROOM_2048 ? CLASS_2048 : bytes <= ROOM_4096 ? CLASS_4096 : CLASS_65536
  const room = state + FRAME
  store<u32>(room, 0, BUNDLE_COUNT)
  return poolTake(pool + size * CACHE_BYTES, room, 1) === 0 ? 0 : room + BUNDLE_DESCRIPTORS
}

/** Writes `bytes` of the payload from `at` on into the frame of a descriptor, behind a header of their own. */
export function writeFragment(target: u32, packet: u32, header: u32, at: u32, bytes: u32, isFollowed: bool): void {
  const to = load<u32>(target, DESCRIPTOR_ADDRESS)
  const network = to + NETWORK
  // Why it was cut is over; what other rooms have noted holds for each fragment.
  memory.copy(to - NOTED_BEFORE, packet - NOTED_BEFORE, NOTED_BEFORE - <u32>NOTE_REASON_BEFORE)
  memory.fill(to - <u32>NOTE_REASON_BEFORE, 0, <u32>NOTE_REASON_BEFORE - COPIED_BEFORE)
  memory.copy(to - COPIED_BEFORE, packet - COPIED_BEFORE, COPIED_BEFORE + NETWORK + (at === 0 ? header : HEADER_BYTES))
  // Type and hash were those of a whole packet.
  const valid = to - METADATA_BYTES + METADATA_VALID
  store<u8>(valid, load<u8>(valid) & <u8>~METADATA_HAS_FLOW)
  const own = at === 0 ? header : HEADER_BYTES + copyOptions(packet + NETWORK, header, network + HEADER_BYTES)
  memory.copy(network + own, packet + NETWORK + header + at, bytes)
  const field: u32 = bswap<u16>(load<u16>(packet, FIELD))
  const more = isFollowed ? MORE_FRAGMENTS : field & MORE_FRAGMENTS
  store<u8>(network, <u8>(0x40 | (own >> 2)))
  store<u16>(to, bswap<u16>(<u16>(own + bytes)), TOTAL)
  store<u16>(to, bswap<u16>(<u16>((field & FLAGS_MASK) | more | ((field & OFFSET_MASK) + (at >> 3)))), FIELD)
  store<u16>(to, 0, CHECKSUM)
  store<u16>(to, <u16>(foldSum(addBytes(0, network, own)) ^ 0xffff), CHECKSUM)
  const length = NETWORK + own + bytes
  store<u32>(target, length, DESCRIPTOR_WIRE)
  store<u32>(target, length, DESCRIPTOR_CAPTURED)
  store<u32>(target, 0, DESCRIPTOR_FLAGS)
}

/** An identification that the last ones were not, as packets have it. */
export function nextIdentification(identify: u32): u32 {
  const taken = load<u32>(identify, IDENTIFY_TAKEN)
  store<u32>(identify, taken + 1, IDENTIFY_TAKEN)
  return bswap<u16>(<u16>(load<u32>(identify, IDENTIFY_LOWEST) + (taken % load<u32>(identify, IDENTIFY_COUNT))))
}
