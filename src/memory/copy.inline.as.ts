import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  CACHE_BYTES,
  CACHE_FRAME_MASK,
  CLASS_512,
  CLASS_2048,
  CLASS_4096,
  CLASS_65536,
  CLASS_524288,
  COPIED_BEFORE,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
} from './formats'
import { poolGive, poolTake } from './pool.as'

/**
 * Appends a copy of up to `most` bytes of a packet to the bundle, with its time,
 * metadata, flags and length on the wire, in a frame of the smallest class that
 * has one free and holds it; whether there was one.
 */
export function copyPacket(pool: u32, descriptor: u32, most: u32, bundle: u32): bool {
  const length: u32 = min<u32>(load<u32>(descriptor, DESCRIPTOR_CAPTURED), most)
  return (
    copyInto(pool + CLASS_512 * CACHE_BYTES, pool, descriptor, length, bundle) ||
    copyInto(pool + CLASS_2048 * CACHE_BYTES, pool, descriptor, length, bundle) ||
    copyInto(pool + CLASS_4096 * CACHE_BYTES, pool, descriptor, length, bundle) ||
    copyInto(pool + CLASS_65536 * CACHE_BYTES, pool, descriptor, length, bundle) ||
    copyInto(pool + CLASS_524288 * CACHE_BYTES, pool, descriptor, length, bundle)
  )
}

function copyInto(cache: u32, pool: u32, descriptor: u32, length: u32, bundle: u32): bool {
  const frameBytes: u32 = 0 - load<u32>(cache, CACHE_FRAME_MASK)
  if (length >= frameBytes || poolTake(cache, bundle, 1) === 0) return false
  const count = load<u32>(bundle, BUNDLE_COUNT) - 1
  const place = bundle + BUNDLE_DESCRIPTORS + count * DESCRIPTOR_BYTES
  const to = load<u32>(place, DESCRIPTOR_ADDRESS)
  if ((to | (frameBytes - 1)) + 1 - to < length) {
    poolGive(pool, place, 1)
    store<u32>(bundle, count, BUNDLE_COUNT)
    return false
  }
  const from = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  memory.copy(to - COPIED_BEFORE, from - COPIED_BEFORE, length + COPIED_BEFORE)
  store<u32>(place, load<u32>(descriptor, DESCRIPTOR_WIRE), DESCRIPTOR_WIRE)
  store<u32>(place, length, DESCRIPTOR_CAPTURED)
  store<u32>(place, load<u32>(descriptor, DESCRIPTOR_FLAGS), DESCRIPTOR_FLAGS)
  return true
}
