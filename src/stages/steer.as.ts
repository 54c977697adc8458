import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  METADATA_BYTES,
  METADATA_HASH,
  METADATA_VALID,
} from '../memory/formats'
import { flowHashOf } from '../wire/flow-hash.inline.as'

/**
 * Shares the packets out by flow: those of one hash stay, those of the others
 * are appended to the bundles that stand at `targets`, of which the first is
 * this one. `mask` says what of the metadata counts: METADATA_HAS_FLOW or 0.
 */
export function steer(bundle: u32, targets: u32, shares: u32, mask: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let kept: u32 = 0
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const descriptor = v128.load(at)
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const metadata = packet - METADATA_BYTES
    const hash: u32 =
      (load<u8>(metadata, METADATA_VALID) & mask) !== 0
        ? load<u32>(metadata, METADATA_HASH)
        : flowHashOf(packet, load<u32>(at, DESCRIPTOR_CAPTURED))
    // The high half of the product: 0 to shares - 1, each as often, without a division.
    const share = <u32>((<u64>hash * <u64>shares) >> 32)
    if (share === 0) {
      v128.store(first + kept * DESCRIPTOR_BYTES, descriptor)
      kept++
      continue
    }
    const target = load<u32>(targets + (share << 2))
    const count = load<u32>(target, BUNDLE_COUNT)
    v128.store(target + BUNDLE_DESCRIPTORS + count * DESCRIPTOR_BYTES, descriptor)
    store<u32>(target, count + 1, BUNDLE_COUNT)
  }
  store<u32>(bundle, kept, BUNDLE_COUNT)
}
