import { CHECKED } from '../memory/pool.inline.as'
import { SIDE_EXCHANGES, SIDE_LOADS, SIDE_STORES } from './formats'

/*
 * Every atomic operation of the shared queues is counted here by the checked
 * build; the plain one has no trace of it.
 */

export function atomicLoad(side: u32, at: u32): u64 {
  if (CHECKED) tally(side + <u32>SIDE_LOADS)
  return atomic.load<u64>(at)
}

export function atomicStore(side: u32, at: u32, value: u64): void {
  countStore(side)
  atomic.store<u64>(at, value)
}

/** Counts a store that is made where nothing may be called. */
export function countStore(side: u32): void {
  if (CHECKED) tally(side + <u32>SIDE_STORES)
}

/** Stores `value` where `expected` stands; gives what stood there. */
export function atomicExchange(side: u32, at: u32, expected: u64, value: u64): u64 {
  if (CHECKED) tally(side + <u32>SIDE_EXCHANGES)
  return atomic.cmpxchg<u64>(at, expected, value)
}

function tally(counter: u32): void {
  store<f64>(counter, load<f64>(counter) + 1)
}
