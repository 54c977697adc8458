import { bytesOf, countOf } from './ring.inline.as'

/** Adds to a counter, f64. */
export function add(counter: u32, number: u32): void {
  store<f64>(counter, load<f64>(counter) + <f64>number)
}

/** Adds to the counter of packets, and to that of bytes, which stands behind it. */
export function countMoved(packets: u32, moved: u64): void {
  if (moved === 0) return
  add(packets, countOf(moved))
  add(packets + 8, bytesOf(moved))
}
