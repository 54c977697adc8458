import { copyPacket } from '../memory/copy.inline.as'
import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES } from '../memory/formats'

/**
 * Appends a copy of the first `most` bytes of one packet in `oneIn` to `samples`,
 * each chosen by chance: a number of the generator at `state` (xorshift, u32)
 * is below `threshold`, which is 2^32 / oneIn.
 */
export function sample(
  pool: u32,
  bundle: u32,
  samples: u32,
  state: u32,
  threshold: f64,
  most: u32,
  counter: u32,
  missing: u32,
): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const count = load<u32>(bundle, BUNDLE_COUNT)
  let number = load<u32>(state)
  for (let at = first, end = first + count * DESCRIPTOR_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    number ^= number << 13
    number ^= number >> 17
    number ^= number << 5
    if (<f64>number >= threshold) continue
    const copied: u32 = copyPacket(pool, at, most, samples) ? 1 : 0
    store<f64>(counter, load<f64>(counter) + <f64>copied)
    store<f64>(missing, load<f64>(missing) + <f64>(1 - copied))
  }
  store<u32>(state, number)
}
