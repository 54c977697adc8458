import { copyPacket } from '../memory/copy.inline.as'
import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES } from '../memory/formats'

const WHOLE: u32 = 0xffffffff

/** Appends a copy of each packet to `copies`; counts them, and at `missing` those that no frame was there for (f64). */
export function mirror(pool: u32, bundle: u32, copies: u32, counter: u32, missing: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const count = load<u32>(bundle, BUNDLE_COUNT)
  let copied: u32 = 0
  for (let at = first, end = first + count * DESCRIPTOR_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    if (copyPacket(pool, at, WHOLE, copies)) copied++
  }
  store<f64>(counter, load<f64>(counter) + <f64>copied)
  store<f64>(missing, load<f64>(missing) + <f64>(count - copied))
}
