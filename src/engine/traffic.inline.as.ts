import { DESCRIPTOR_BYTES, DESCRIPTOR_WIRE } from '../memory/formats'

/** Adds to a counter, f64. */
export function add(counter: u32, number: u32): void {
  store<f64>(counter, load<f64>(counter) + <f64>number)
}

/** Bytes on the wire of `count` packets. */
export function wireBytes(descriptors: u32, count: u32): u32 {
  let sum: u32 = 0
  for (let at: u32 = 0, end = count * DESCRIPTOR_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    sum += load<u32>(descriptors + at, DESCRIPTOR_WIRE)
  }
  return sum
}
