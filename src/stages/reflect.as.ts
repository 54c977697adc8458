import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
} from '../memory/formats'
import { release } from '../memory/pool.inline.as'

const ETHERNET_BYTES: u32 = 14

/** Swaps the Ethernet addresses of each packet; what is too short for a header is dropped and counted at `drops`. */
export function reflect(pool: u32, bundle: u32, drops: u32): void {
  const first = bundle + BUNDLE_DESCRIPTORS
  const end = first + load<u32>(bundle, BUNDLE_COUNT) * DESCRIPTOR_BYTES
  let kept = first
  for (let at = first; at < end; at += DESCRIPTOR_BYTES) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    if (load<u32>(at, DESCRIPTOR_CAPTURED) < ETHERNET_BYTES) {
      release(pool, packet)
      continue
    }
    // Six bytes of destination, six of source, in a word of eight and one of four.
    const head = load<u64>(packet)
    const destination = head & 0xffffffffffff
    const source = (head >> 48) | ((<u64>load<u32>(packet, 8)) << 16)
    store<u64>(packet, source | (destination << 48))
    store<u32>(packet, <u32>(destination >> 16), 8)
    v128.store(kept, v128.load(at))
    kept += DESCRIPTOR_BYTES
  }
  store<u32>(bundle, (kept - first) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
  store<f64>(drops, load<f64>(drops) + <f64>((end - kept) / DESCRIPTOR_BYTES))
}
