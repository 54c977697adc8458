import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES, DESCRIPTOR_WIRE } from '../memory/formats'

/** Adds the packets for which a matcher has found a rule, and their bytes on the wire, to two counters (f64). */
export function tally(bundle: u32, verdicts: u32, counters: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let packets: u32 = 0
  let bytes: u32 = 0
  for (let at = first, verdict = verdicts; at < end; at += DESCRIPTOR_BYTES, verdict += 4) {
    const isMatched: u32 = load<i32>(verdict) >= 0 ? 1 : 0
    packets += isMatched
    bytes += isMatched * load<u32>(at, DESCRIPTOR_WIRE)
  }
  store<f64>(counters, load<f64>(counters) + <f64>packets)
  store<f64>(counters, load<f64>(counters, 8) + <f64>bytes, 8)
}
