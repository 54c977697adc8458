import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  FLAG_CHECKSUM_GOOD,
  FLAG_CHECKSUM_MISSING,
  FLAG_ECN,
  FLAG_IPV6,
  FLAG_TCP,
  FLAGS_SEGMENT_SHIFT,
  METADATA_BYTES,
  METADATA_VALID,
  TRAFFIC_COPIED_PACKETS,
  TRAFFIC_RECEIVED_BYTES,
  TRAFFIC_RECEIVED_PACKETS,
} from '../memory/formats'
import { checksumOffsetOf, fillChecksum, segmentBytesOf, transportFlags, transportOf } from './offload.inline.as'

/** struct virtio_net_hdr (linux/virtio_net.h): where fields stand, and what they hold. */
export const HEADER_BYTES: u32 = 10
const KIND: usize = 1
const SEGMENT_BYTES: usize = 4
const CHECKSUM_START: usize = 6
const CHECKSUM_OFFSET: usize = 8
const NEEDS_CHECKSUM: u32 = 1
const CHECKSUM_VALID: u32 = 2
const SEGMENT_TCP_IPV4: u32 = 1
const SEGMENT_TCP_IPV6: u32 = 4
const SEGMENT_UDP: u32 = 5
const SEGMENT_ECN: u32 = 0x80

const UDP_HEADER_BYTES: u32 = 8
/** Where the upper half of a byte says how many words of 4 bytes the TCP header has. */
const TCP_DATA_OFFSET: u32 = 12

/** Appends a packet that was copied into a frame to the bundle, and counts it. */
export function appendArrived(bundle: u32, packet: u32, captured: u32, wire: u32, flags: u32, traffic: u32): void {
  store<u8>(packet - METADATA_BYTES, 0, METADATA_VALID)
  const count = load<u32>(bundle, BUNDLE_COUNT)
  const place = bundle + BUNDLE_DESCRIPTORS + count * DESCRIPTOR_BYTES
  store<u32>(place, packet, DESCRIPTOR_ADDRESS)
  store<u32>(place, wire, DESCRIPTOR_WIRE)
  store<u32>(place, captured, DESCRIPTOR_CAPTURED)
  store<u32>(place, flags, DESCRIPTOR_FLAGS)
  store<u32>(bundle, count + 1, BUNDLE_COUNT)
  store<f64>(traffic, load<f64>(traffic, TRAFFIC_RECEIVED_PACKETS) + 1, TRAFFIC_RECEIVED_PACKETS)
  store<f64>(traffic, load<f64>(traffic, TRAFFIC_RECEIVED_BYTES) + <f64>wire, TRAFFIC_RECEIVED_BYTES)
  store<f64>(traffic, load<f64>(traffic, TRAFFIC_COPIED_PACKETS) + 1, TRAFFIC_COPIED_PACKETS)
}

/**
 * What a virtio-net header says, as flags of a descriptor; `added` bytes have
 * been put into the packet since. A checksum that flags cannot speak of is
 * filled in.
 */
export function flagsOf(header: u32, packet: u32, length: u32, added: u32): u32 {
  const said = <u32>load<u8>(header)
  if (said & CHECKSUM_VALID) return FLAG_CHECKSUM_GOOD
  if ((said & NEEDS_CHECKSUM) === 0) return 0
  const start = <u32>load<u16>(header, CHECKSUM_START) + added
  const offset = <u32>load<u16>(header, CHECKSUM_OFFSET)
  const transport = transportFlags(packet, start, offset)
  if (transport === 0) {
    fillChecksum(packet, length, start, offset)
    return 0
  }
  const kind = <u32>load<u8>(header, KIND)
  const ecn: u32 = kind & SEGMENT_ECN ? FLAG_ECN : 0
  const segmentBytes = kind === 0 ? 0 : <u32>load<u16>(header, SEGMENT_BYTES)
  return transport | FLAG_CHECKSUM_MISSING | ecn | (segmentBytes << FLAGS_SEGMENT_SHIFT)
}

/** Writes the virtio-net header of each packet of the bundle before it, over its metadata. */
export function writeHeaders(bundle: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const flags = load<u32>(at, DESCRIPTOR_FLAGS)
    const header = packet - HEADER_BYTES
    const missing = flags & FLAG_CHECKSUM_MISSING
    const begin: u64 = missing ? NEEDS_CHECKSUM | ((<u64>transportOf(flags)) << (CHECKSUM_START * 8)) : 0
    store<u64>(header, begin | segmentation(packet, flags))
    store<u16>(header, <u16>(missing ? checksumOffsetOf(flags) : 0), CHECKSUM_OFFSET)
  }
}

/** The bytes 1 to 5 of the header: kind of segment, bytes of all headers, payload bytes of a segment. */
function segmentation(packet: u32, flags: u32): u64 {
  const segmentBytes = segmentBytesOf(flags)
  if (segmentBytes === 0) return 0
  const transport = transportOf(flags)
  const isTcp = (flags & FLAG_TCP) !== 0
  let kind = isTcp ? (flags & FLAG_IPV6 ? SEGMENT_TCP_IPV6 : SEGMENT_TCP_IPV4) : SEGMENT_UDP
  if (flags & FLAG_ECN) kind |= SEGMENT_ECN
  const tcpBytes = (<u32>(load<u8>(packet + transport + TCP_DATA_OFFSET) >> 4)) << 2
  const headers = transport + (isTcp ? tcpBytes : UDP_HEADER_BYTES)
  return ((<u64>kind) << 8) | ((<u64>headers) << 16) | ((<u64>segmentBytes) << 32)
}
