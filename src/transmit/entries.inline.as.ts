import { DESCRIPTOR_ADDRESS, DESCRIPTOR_WIRE } from '../memory/formats'
import { release } from '../memory/pool.inline.as'
import { QUEUE_BYTES, QUEUE_DROPS, QUEUE_PACKETS, QUEUE_POOL } from './formats'

/** Reasons for which packets are dropped, in the order of queue-memory.ts. */
export const DROP_FULL: u32 = 0
export const DROP_CODEL: u32 = 1

/** Of an entry: the next of its list, and since when it waits, f64. */
export const ENTRY_NEXT: usize = 16
export const ENTRY_SINCE: usize = 24
/** Of a queue: the list of entries that hold no packet. */
const QUEUE_FREE: usize = 20
/** Of a list: its entries, 0 where there are none. */
const FIRST: usize = 0
const LAST: usize = 4

/** An entry that holds no packet; 0 where all do. */
export function takeEntry(queue: u32): u32 {
  const entry = load<u32>(queue, QUEUE_FREE)
  if (entry !== 0) store<u32>(queue, load<u32>(entry, ENTRY_NEXT), QUEUE_FREE)
  return entry
}

/** One whose address is 0 holds none. */
export function giveEntry(queue: u32, entry: u32): void {
  store<u32>(entry, 0, DESCRIPTOR_ADDRESS)
  store<u32>(entry, load<u32>(queue, QUEUE_FREE), ENTRY_NEXT)
  store<u32>(queue, entry, QUEUE_FREE)
}

/** Puts an entry, or another thing with a NEXT at `next`, at the end of the list. */
export function append(list: u32, entry: u32, next: usize): void {
  store<u32>(entry + <u32>next, 0)
  const last = load<u32>(list, LAST)
  if (last === 0) store<u32>(list, entry, FIRST)
  else store<u32>(last + <u32>next, entry)
  store<u32>(list, entry, LAST)
}

/** Takes the first of the list; 0 where it has none. */
export function shift(list: u32, next: usize): u32 {
  const first = load<u32>(list, FIRST)
  if (first === 0) return 0
  const second = load<u32>(first + <u32>next)
  store<u32>(list, second, FIRST)
  if (second === 0) store<u32>(list, 0, LAST)
  return first
}

export function lengthOf(entry: u32): u32 {
  return load<u32>(entry, DESCRIPTOR_WIRE)
}

/** The packet of an entry has left its discipline: it waits no longer. */
export function forget(queue: u32, entry: u32): void {
  store<u32>(queue, load<u32>(queue, QUEUE_PACKETS) - 1, QUEUE_PACKETS)
  store<u32>(queue, load<u32>(queue, QUEUE_BYTES) - lengthOf(entry), QUEUE_BYTES)
  giveEntry(queue, entry)
}

/** Drops the packet of an entry that its discipline no longer has, and counts it. */
export function drop(queue: u32, entry: u32, reason: u32): void {
  release(load<u32>(queue, QUEUE_POOL), load<u32>(entry, DESCRIPTOR_ADDRESS))
  countDrop(queue, reason)
  forget(queue, entry)
}

export function countDrop(queue: u32, reason: u32): void {
  const counter = load<u32>(queue, QUEUE_DROPS) + (reason << 3)
  store<f64>(counter, load<f64>(counter) + 1)
}
