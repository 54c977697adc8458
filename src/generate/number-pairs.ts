/** Numbers pairs of words, from 0 on, in the order in which they come. */
export interface PairNumbers {
  has(first: number, second: number): boolean
  numberOf(first: number, second: number): number
}

const LEAST_SLOTS = 256

/**
 * A hash table with open addressing in flat arrays: for the flows of a million
 * packets a Map takes twice as long, with keys that are texts ten times.
 */
export function numberPairs(): PairNumbers {
  let slots = LEAST_SLOTS
  let pairs = new Uint32Array(2 * slots)
  /** 0 where a slot is free, else the number and 1. */
  let numbers = new Uint32Array(slots)
  let count = 0

  /** Where a pair is, or would be. */
  function slotOf(first: number, second: number): number {
    let slot = hash(first, second) & (slots - 1)
    while (numbers[slot] !== 0 && (pairs[2 * slot] !== first || pairs[2 * slot + 1] !== second))
      slot = (slot + 1) & (slots - 1)
    return slot
  }

  function put(first: number, second: number, entry: number): void {
    const slot = slotOf(first, second)
    pairs[2 * slot] = first
    pairs[2 * slot + 1] = second
    numbers[slot] = entry
  }

  function grow(): void {
    const [before, entries] = [pairs, numbers]
    slots *= 4
    pairs = new Uint32Array(2 * slots)
    numbers = new Uint32Array(slots)
    for (const [slot, entry] of entries.entries()) if (entry !== 0) put(before[2 * slot]!, before[2 * slot + 1]!, entry)
  }

  return {
    has: (first, second) => numbers[slotOf(first, second)] !== 0,
    numberOf(first, second) {
      const known = numbers[slotOf(first, second)]!
      if (known !== 0) return known - 1
      if (2 * (count + 1) > slots) grow()
      put(first, second, ++count)
      return count - 1
    },
  }
}

/** Every bit of both goes into the lowest ones (multipliers of Fibonacci hashing and of MurmurHash3's finalizer). */
function hash(first: number, second: number): number {
  let mixed = Math.imul(first, 0x9e3779b1) ^ second
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
