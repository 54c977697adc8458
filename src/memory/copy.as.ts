import { copyPacket } from './copy.inline.as'

const WHOLE: u32 = 0xffffffff

/** Appends a copy of a packet to the bundle; whether there was a frame for it. */
export function poolCopy(pool: u32, descriptor: u32, bundle: u32): bool {
  return copyPacket(pool, descriptor, WHOLE, bundle)
}
