import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES } from '../memory/formats'
import { SHARED_MARK_BYTES, SHARED_MASK, SHARED_SLOTS } from './formats'

/** Copies `count` descriptors at `from` to the slots from `index` on. */
export function writeSlots(queue: u32, index: u64, from: u32, count: u32): void {
  const mask = load<u32>(queue, SHARED_MASK)
  const place = <u32>index & mask
  const slots = queue + <u32>SHARED_SLOTS
  const at = slots + place * DESCRIPTOR_BYTES
  if (count === 1) {
    v128.store(at, v128.load(from))
    return
  }
  const first: u32 = min<u32>(count, mask + 1 - place)
  memory.copy(at, from, first * DESCRIPTOR_BYTES)
  if (first < count) memory.copy(slots, from + first * DESCRIPTOR_BYTES, (count - first) * DESCRIPTOR_BYTES)
}

/** Copies the descriptors of `count` slots from `index` on to `to`. */
export function readSlots(queue: u32, index: u64, to: u32, count: u32): void {
  const mask = load<u32>(queue, SHARED_MASK)
  const place = <u32>index & mask
  const slots = queue + <u32>SHARED_SLOTS
  const at = slots + place * DESCRIPTOR_BYTES
  if (count === 1) {
    v128.store(to, v128.load(at))
    return
  }
  const first: u32 = min<u32>(count, mask + 1 - place)
  memory.copy(to, at, first * DESCRIPTOR_BYTES)
  if (first < count) memory.copy(to + first * DESCRIPTOR_BYTES, slots, (count - first) * DESCRIPTOR_BYTES)
}

/** Address of the mark of the slot that `index` has. */
export function markOf(queue: u32, index: u64): u32 {
  const mask = load<u32>(queue, SHARED_MASK)
  return queue + <u32>SHARED_SLOTS + (mask + 1) * DESCRIPTOR_BYTES + (<u32>index & mask) * SHARED_MARK_BYTES
}

/** Takes the first `count` descriptors out of the bundle; the others move to the front. */
export function dropFront(bundle: u32, count: u32): void {
  const left = load<u32>(bundle, BUNDLE_COUNT) - count
  const first = bundle + <u32>BUNDLE_DESCRIPTORS
  if (left > 0) memory.copy(first, first + count * DESCRIPTOR_BYTES, left * DESCRIPTOR_BYTES)
  store<u32>(bundle, left, BUNDLE_COUNT)
}
