import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES, DESCRIPTOR_WIRE } from '../memory/formats'

/** Adds the bundle's packets, and their bytes on the wire, to two counters (f64). */
export function count(bundle: u32, counters: u32): void {
  const packets = load<u32>(bundle, BUNDLE_COUNT)
  const first = bundle + BUNDLE_DESCRIPTORS
  let bytes: u32 = 0
  for (let at = first, end = first + packets * DESCRIPTOR_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    bytes += load<u32>(at, DESCRIPTOR_WIRE)
  }
  store<f64>(counters, load<f64>(counters) + <f64>packets)
  store<f64>(counters, load<f64>(counters, 8) + <f64>bytes, 8)
}
