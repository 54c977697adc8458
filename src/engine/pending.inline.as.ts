import { BUNDLE_COUNT, BUNDLE_DESCRIPTORS, DESCRIPTOR_BYTES } from '../memory/formats'

/**
 * For stages that make more packets than they take: the descriptors that are
 * still to be looked at stand in the stage's memory, whose first two words say
 * from where to where.
 */
export const PENDING_NEXT: usize = 0
export const PENDING_END: usize = 4

/** Moves the bundle's descriptors to `room`, unless some are left there; the bundle is empty then. */
export function takePending(state: u32, room: u32, bundle: u32): void {
  const count = load<u32>(bundle, BUNDLE_COUNT)
  if (count === 0) return
  memory.copy(room, bundle + BUNDLE_DESCRIPTORS, count * DESCRIPTOR_BYTES)
  store<u32>(state, room, PENDING_NEXT)
  store<u32>(state, room + count * DESCRIPTOR_BYTES, PENDING_END)
  store<u32>(bundle, 0, BUNDLE_COUNT)
}

/** Says that descriptors end at `out`, and that those before `next` have been looked at. */
export function endPending(state: u32, next: u32, bundle: u32, out: u32): void {
  store<u32>(state, next, PENDING_NEXT)
  store<u32>(bundle, (out - bundle - BUNDLE_DESCRIPTORS) / DESCRIPTOR_BYTES, BUNDLE_COUNT)
}
