import { copyPacket } from '../memory/copy.inline.as'
import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES } from '../memory/formats'

const WHOLE: u32 = 0xffffffff

/**
 * Appends a copy of each packet to `copies`, or of those for which a matcher has
 * found a rule where `verdicts` is not 0; counts them, and at `missing` those
 * that no frame was there for (f64).
 */
export function mirror(pool: u32, bundle: u32, verdicts: u32, copies: u32, counter: u32, missing: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let wanted: u32 = 0
  let copied: u32 = 0
  for (let at = first, verdict = verdicts; at < end; at += DESCRIPTOR_BYTES, verdict += 4) {
    if (verdicts !== 0 && load<i32>(verdict) < 0) continue
    wanted++
    if (copyPacket(pool, at, WHOLE, copies)) copied++
  }
  store<f64>(counter, load<f64>(counter) + <f64>copied)
  store<f64>(missing, load<f64>(missing) + <f64>(wanted - copied))
}
