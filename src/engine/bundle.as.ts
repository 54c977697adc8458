import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES } from '../memory/formats'

/**
 * Reads one byte of each packet's header, one load independent of the other, so
 * that all lines are on their way before the first is needed. The sum keeps the
 * loads from being left out.
 */
export function touchPackets(bundle: u32): u32 {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let sum: u32 = 0
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) sum += load<u8>(load<u32>(at, DESCRIPTOR_ADDRESS))
  return sum
}
