import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES } from '../memory/formats'

/**
 * Splits a bundle by what a matcher has said of it: `chosen` has the index of
 * its last byte and then a byte for each verdict, which are rules from -1,
 * "none", on, the last for all beyond; where it is 1 the packet is appended to
 * `other`, where 0 it stays. Each descriptor is written to both
 * places and only one of them moves on, because a branch here would be foretold
 * wrongly as often as the matcher surprises.
 */
export function divideBundle(bundle: u32, verdicts: u32, chosen: u32, other: u32): u32 {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  const before = load<u32>(other, BUNDLE_COUNT)
  const otherFirst = other + BUNDLE_DESCRIPTORS + before * DESCRIPTOR_BYTES
  let stays = first
  let leaves = otherFirst
  let verdict = verdicts
  const last = load<u32>(chosen)
  for (let at = first; at < end; at += DESCRIPTOR_BYTES, verdict += 4) {
    const descriptor = v128.load(at)
    const isChosen: u32 = load<u8>(chosen + min<u32>(load<u32>(verdict) + 1, last), 4)
    v128.store(stays, descriptor)
    v128.store(leaves, descriptor)
    stays += (1 - isChosen) << 4
    leaves += isChosen << 4
  }
  const left = (leaves - otherFirst) >> 4
  store<u32>(bundle, (stays - first) >> 4, BUNDLE_COUNT)
  store<u32>(other, before + left, BUNDLE_COUNT)
  return left
}
