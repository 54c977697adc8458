import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  METADATA_BYTES,
  METADATA_HAS_FLOW,
  METADATA_TYPE,
  METADATA_VALID,
  TYPE_TRANSPORT_MASK,
  TYPE_TRANSPORT_SHIFT,
} from '../memory/formats'
import { writeType } from './packet-type.inline.as'

/** Outputs by transport: other, TCP, UDP, ICMP. */
const OUTPUTS: u32 = 4

/**
 * Divides a bundle by the transport of its packets' type: from the metadata
 * that stands before each, or from the headers, which writes it there.
 * `outputs` has the addresses of four bundles, of which the first is this one;
 * `ends` is room for as many words; `counters` has two f64: packets that had a
 * type, and packets whose headers were read.
 */
export function classify(bundle: u32, outputs: u32, ends: u32, readsHeader: u32, counters: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const count = load<u32>(bundle, BUNDLE_COUNT)
  store<u32>(ends, first)
  for (let output: u32 = 1; output < OUTPUTS; output++) {
    const other = load<u32>(outputs + (output << 2))
    store<u32>(ends + (output << 2), other + BUNDLE_DESCRIPTORS + load<u32>(other, BUNDLE_COUNT) * DESCRIPTOR_BYTES)
  }
  let read: u32 = 0
  for (let at = first, last = first + count * DESCRIPTOR_BYTES; at < last; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const metadata = packet - METADATA_BYTES
    let type: u32 = load<u16>(metadata, METADATA_TYPE)
    if (readsHeader !== 0 || (load<u8>(metadata, METADATA_VALID) & METADATA_HAS_FLOW) === 0) {
      type = writeType(packet, load<u32>(at, DESCRIPTOR_CAPTURED))
      read++
    }
    const end = ends + (((type >>> TYPE_TRANSPORT_SHIFT) & TYPE_TRANSPORT_MASK) << 2)
    const to = load<u32>(end)
    v128.store(to, v128.load(at))
    store<u32>(end, to + DESCRIPTOR_BYTES)
  }
  for (let output: u32 = 0; output < OUTPUTS; output++) {
    const other = output === 0 ? bundle : load<u32>(outputs + (output << 2))
    const length = load<u32>(ends + (output << 2)) - other - BUNDLE_DESCRIPTORS
    store<u32>(other, length / DESCRIPTOR_BYTES, BUNDLE_COUNT)
  }
  store<f64>(counters, load<f64>(counters) + <f64>(count - read))
  store<f64>(counters, load<f64>(counters, 8) + <f64>read, 8)
}
