import { ENTRY_LENGTH_SHIFT, FIB_LENGTHS, FIB_ROUTES, FIB_SLOT_MASK, FIB_SLOTS, FIB_WORDS, ROUTE_MARK } from './formats'

/*
 * The routes themselves, by prefix: a hash table with linear probing, in which
 * what is taken out is closed up (Knuth, vol. 3, 6.4, algorithm R). The trie
 * alone does not know a route whose addresses all have longer ones.
 */

/** The slot of that prefix, or the free one in which its search ended. */
export function findPrefix(fib: u32, w0: u32, w1: u32, w2: u32, w3: u32, length: u32): u32 {
  const words = load<u32>(fib, FIB_WORDS)
  const mask = load<u32>(fib, FIB_SLOT_MASK)
  const slots = load<u32>(fib, FIB_SLOTS)
  const bytes = slotBytes(words)
  let index = hash(w0, w1, w2, w3, length) & mask
  let slot = slots + index * bytes
  while (entryOf(slot, words) !== 0 && !isPrefix(slot, words, w0, w1, w2, w3, length)) {
    index = (index + 1) & mask
    slot = slots + index * bytes
  }
  return slot
}

function isPrefix(slot: u32, words: u32, w0: u32, w1: u32, w2: u32, w3: u32, length: u32): bool {
  if (entryOf(slot, words) >> ENTRY_LENGTH_SHIFT !== length || load<u32>(slot) !== w0) return false
  return words === 1 || (load<u32>(slot, 4) === w1 && load<u32>(slot, 8) === w2 && load<u32>(slot, 12) === w3)
}

/** What stands in the slot, without its mark; 0 where it is free. */
export function entryOf(slot: u32, words: u32): u32 {
  return load<u32>(slot + (words << 2)) & ~ROUTE_MARK
}

/** Writes into a slot that `findPrefix` has found, and marks it. */
export function putPrefix(fib: u32, slot: u32, w0: u32, w1: u32, w2: u32, w3: u32, entry: u32): void {
  const words = load<u32>(fib, FIB_WORDS)
  if (entryOf(slot, words) === 0) count(fib, entry >> ENTRY_LENGTH_SHIFT, 1)
  store<u32>(slot, w0)
  if (words > 1) {
    store<u32>(slot, w1, 4)
    store<u32>(slot, w2, 8)
    store<u32>(slot, w3, 12)
  }
  store<u32>(slot + (words << 2), entry | ROUTE_MARK)
}

/** Frees a slot, and moves what a search would not find any more behind it. */
export function removePrefix(fib: u32, slot: u32): void {
  const words = load<u32>(fib, FIB_WORDS)
  const mask = load<u32>(fib, FIB_SLOT_MASK)
  const slots = load<u32>(fib, FIB_SLOTS)
  const bytes = slotBytes(words)
  count(fib, entryOf(slot, words) >> ENTRY_LENGTH_SHIFT, <u32>-1)
  let hole = (slot - slots) / bytes
  for (let index = (hole + 1) & mask; ; index = (index + 1) & mask) {
    const at = slots + index * bytes
    const entry = entryOf(at, words)
    if (entry === 0) break
    const home = hashOfSlot(at, words, entry >> ENTRY_LENGTH_SHIFT) & mask
    // It stays where its search begins behind the hole.
    if (((index - home) & mask) < ((index - hole) & mask)) continue
    memory.copy(slots + hole * bytes, at, bytes)
    hole = index
  }
  store<u32>(slots + hole * bytes + (words << 2), 0)
}

/** The entry of the longest route that is shorter than `length` and covers the address; 0 for none. */
export function coveringEntry(fib: u32, w0: u32, w1: u32, w2: u32, w3: u32, length: u32): u32 {
  const words = load<u32>(fib, FIB_WORDS)
  const lengths = load<u32>(fib, FIB_LENGTHS)
  for (let shorter = length; shorter > 0; ) {
    shorter--
    if (load<u32>(lengths + (shorter << 2)) === 0) continue
    const slot = findPrefix(
      fib,
      w0 & maskOf(shorter, 0),
      w1 & maskOf(shorter, 32),
      w2 & maskOf(shorter, 64),
      w3 & maskOf(shorter, 96),
      shorter,
    )
    const entry = entryOf(slot, words)
    if (entry !== 0) return entry
  }
  return 0
}

export function slotBytes(words: u32): u32 {
  return (words + 1) << 2
}

/** The mask of a prefix for the word of an address that begins `before` bits into it. */
export function maskOf(length: u32, before: u32): u32 {
  if (length <= before) return 0
  const bits = length - before
  return bits >= 32 ? <u32>-1 : ~(<u32>-1 >> bits)
}

function count(fib: u32, length: u32, step: u32): void {
  const counter = load<u32>(fib, FIB_LENGTHS) + (length << 2)
  store<u32>(counter, load<u32>(counter) + step)
  store<u32>(fib, load<u32>(fib, FIB_ROUTES) + step, FIB_ROUTES)
}

function hashOfSlot(slot: u32, words: u32, length: u32): u32 {
  if (words === 1) return hash(load<u32>(slot), 0, 0, 0, length)
  return hash(load<u32>(slot), load<u32>(slot, 4), load<u32>(slot, 8), load<u32>(slot, 12), length)
}

function hash(w0: u32, w1: u32, w2: u32, w3: u32, length: u32): u32 {
  let mixed = (w0 ^ (w0 >> 15)) * 0x9e3779b1 + w1
  mixed = (mixed ^ (mixed >> 15)) * 0x85ebca6b + w2
  mixed = (mixed ^ (mixed >> 13)) * 0xc2b2ae35 + w3 + length
  mixed = (mixed ^ (mixed >> 16)) * 0x9e3779b1
  return mixed ^ (mixed >> 15)
}
