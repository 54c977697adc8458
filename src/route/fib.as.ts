import {
  CHANGE_DONE,
  CHANGE_NO_NODE,
  CHANGE_NO_ROUTE,
  CHANGE_NONE,
  ENTRY_LENGTH_SHIFT,
  ENTRY_NODE,
  FIB_MOST_ROUTES,
  FIB_REFUSED_NODES,
  FIB_REFUSED_ROUTES,
  FIB_ROOT_BITS,
  FIB_ROOT_SHIFT,
  FIB_ROUTES,
  FIB_SLOT_MASK,
  FIB_SLOTS,
  FIB_WORDS,
  NODE_BITS,
  NODE_BYTES,
  NODE_SHIFT,
  ROUTE_MARK,
} from './formats'
import { isNode, leafOf4, nodeOf, rootEntry } from './lookup.inline.as'
import { hasNodes, retireNode, takeNode } from './nodes.inline.as'
import { coveringEntry, entryOf, findPrefix, maskOf, putPrefix, removePrefix, slotBytes } from './prefixes.inline.as'
import { advance, isUnseen } from './readers.inline.as'

/** The entry of an IPv4 address, as a number. */
export function fibLookup4(fib: u32, address: u32): u32 {
  return leafOf4(load<u32>(rootEntry(fib, address)), load<u32>(fib, FIB_ROOT_SHIFT), address)
}

/** The entry of an IPv6 address that is handed over as numbers. */
export function fibLookup6(fib: u32, w0: u32, w1: u32, w2: u32, w3: u32): u32 {
  let entry = load<u32>(rootEntry(fib, w0))
  for (let bits = load<u32>(fib, FIB_ROOT_BITS); isNode(entry); bits += NODE_BITS) {
    entry = load<u32>(nodeOf(entry) + (byteAt(w0, w1, w2, w3, bits) << 2))
  }
  return entry
}

/** Puts a route in, or changes its next hop; gives a CHANGE_…. A refused route changes nothing. */
export function fibInsert(tables: u32, fib: u32, a0: u32, a1: u32, a2: u32, a3: u32, length: u32, hop: u32): u32 {
  const w0 = a0 & maskOf(length, 0)
  const w1 = a1 & maskOf(length, 32)
  const w2 = a2 & maskOf(length, 64)
  const w3 = a3 & maskOf(length, 96)
  const entry = (length << ENTRY_LENGTH_SHIFT) | hop
  const slot = findPrefix(fib, w0, w1, w2, w3, length)
  const before = entryOf(slot, load<u32>(fib, FIB_WORDS))
  if (before === 0) {
    if (load<u32>(fib, FIB_ROUTES) === load<u32>(fib, FIB_MOST_ROUTES)) return refuse(fib, FIB_REFUSED_ROUTES)
    if (!hasNodes(tables, fib, missingNodes(fib, w0, w1, w2, w3, length))) return refuse(fib, FIB_REFUSED_NODES)
  }
  putPrefix(fib, slot, w0, w1, w2, w3, entry)
  if (before === entry) return CHANGE_NONE
  const end = deepest(fib, w0, w1, w2, w3, length)
  for (let at = firstEntry(fib, end, w0, w1, w2, w3, length), last = at + spanBytes(fib, length); at < last; at += 4) {
    cover(at, entry)
  }
  advance(tables)
  return CHANGE_DONE
}

/** Takes a route out: its addresses have the next shorter one from here on. CHANGE_NONE where there is none. */
export function fibRemove(tables: u32, fib: u32, a0: u32, a1: u32, a2: u32, a3: u32, length: u32): u32 {
  const w0 = a0 & maskOf(length, 0)
  const w1 = a1 & maskOf(length, 32)
  const w2 = a2 & maskOf(length, 64)
  const w3 = a3 & maskOf(length, 96)
  const slot = findPrefix(fib, w0, w1, w2, w3, length)
  if (entryOf(slot, load<u32>(fib, FIB_WORDS)) === 0) return CHANGE_NONE
  removePrefix(fib, slot)
  const entry = coveringEntry(fib, w0, w1, w2, w3, length)
  const end = deepest(fib, w0, w1, w2, w3, length)
  for (let at = firstEntry(fib, end, w0, w1, w2, w3, length), last = at + spanBytes(fib, length); at < last; at += 4) {
    uncover(at, length, entry)
  }
  fold(tables, fib, w0, w1, w2, w3, load<u32>(fib, FIB_ROOT_BITS), rootEntry(fib, w0))
  advance(tables)
  return CHANGE_DONE
}

/** Takes the marks off all routes; each that is inserted again gets one. */
export function fibUnmark(fib: u32): void {
  const words = load<u32>(fib, FIB_WORDS)
  const bytes = slotBytes(words)
  const first = load<u32>(fib, FIB_SLOTS) + (words << 2)
  const end = first + (load<u32>(fib, FIB_SLOT_MASK) + 1) * bytes
  for (let at = first; at < end; at += bytes) store<u32>(at, load<u32>(at) & ~ROUTE_MARK)
}

/** Takes out all routes without a mark; gives how many. */
export function fibSweep(tables: u32, fib: u32): u32 {
  const words = load<u32>(fib, FIB_WORDS)
  const bytes = slotBytes(words)
  const first = load<u32>(fib, FIB_SLOTS)
  const end = first + (load<u32>(fib, FIB_SLOT_MASK) + 1) * bytes
  let removed: u32 = 0
  for (let slot = first; slot < end; ) {
    const entry = load<u32>(slot + (words << 2))
    if (entry === 0 || (entry & ROUTE_MARK) !== 0) {
      slot += bytes
      continue
    }
    // Another may move here, and is looked at next.
    const isLong = words > 1
    const w1 = isLong ? load<u32>(slot, 4) : 0
    const w2 = isLong ? load<u32>(slot, 8) : 0
    const w3 = isLong ? load<u32>(slot, 12) : 0
    fibRemove(tables, fib, load<u32>(slot), w1, w2, w3, entry >> ENTRY_LENGTH_SHIFT)
    removed++
  }
  return removed
}

/** Tells all who keep answers that something has changed. */
export function tablesAdvance(tables: u32): void {
  advance(tables)
}

/** Whether nobody is at work any more who has begun in that generation or before. */
export function tablesUnseen(tables: u32, generation: u32): bool {
  return isUnseen(tables, generation)
}

function refuse(fib: u32, counter: u32): u32 {
  store<f64>(fib + counter, load<f64>(fib + counter) + 1)
  return counter === FIB_REFUSED_NODES ? CHANGE_NO_NODE : CHANGE_NO_ROUTE
}

/** How many nodes the way to a prefix lacks. */
function missingNodes(fib: u32, w0: u32, w1: u32, w2: u32, w3: u32, length: u32): u32 {
  let bits = load<u32>(fib, FIB_ROOT_BITS)
  let entry = load<u32>(rootEntry(fib, w0))
  for (; bits < length && isNode(entry); bits += NODE_BITS) {
    entry = load<u32>(nodeOf(entry) + (byteAt(w0, w1, w2, w3, bits) << 2))
  }
  return bits < length ? (length - bits + NODE_BITS - 1) / NODE_BITS : 0
}

/** The node in which a prefix ends, or 0 for the root; makes those that are missing, each filled before it is seen. */
function deepest(fib: u32, w0: u32, w1: u32, w2: u32, w3: u32, length: u32): u32 {
  let bits = load<u32>(fib, FIB_ROOT_BITS)
  let at = rootEntry(fib, w0)
  let node: u32 = 0
  for (; bits < length; bits += NODE_BITS) {
    const entry = load<u32>(at)
    node = isNode(entry) ? nodeOf(entry) : takeNode(fib, entry)
    if (!isNode(entry)) atomic.store<u32>(at, ENTRY_NODE | (node >> NODE_SHIFT))
    at = node + (byteAt(w0, w1, w2, w3, bits) << 2)
  }
  return node
}

/** Where the entries of a prefix begin: those of a node, or of the root where `node` is 0. */
function firstEntry(fib: u32, node: u32, w0: u32, w1: u32, w2: u32, w3: u32, length: u32): u32 {
  if (node === 0) return rootEntry(fib, w0)
  const bits = (length - 1) & ~(NODE_BITS - 1)
  return node + (byteAt(w0, w1, w2, w3, bits) << 2)
}

/** Bytes of the entries of a prefix, where it ends. */
function spanBytes(fib: u32, length: u32): u32 {
  const bits = load<u32>(fib, FIB_ROOT_BITS)
  const left = length <= bits ? bits - length : (0 - length) & (NODE_BITS - 1)
  return (<u32>4) << left
}

/** Gives a route what no longer one has. Single stores of aligned words: a reader sees the one before or this one. */
function cover(at: u32, entry: u32): void {
  const there = load<u32>(at)
  if (isNode(there)) {
    const node = nodeOf(there)
    for (let below = node; below < node + NODE_BYTES; below += 4) cover(below, entry)
  } else if (there >> ENTRY_LENGTH_SHIFT <= entry >> ENTRY_LENGTH_SHIFT) store<u32>(at, entry)
}

/** Gives what a route of that length had to the one that covers it. */
function uncover(at: u32, length: u32, entry: u32): void {
  const there = load<u32>(at)
  if (isNode(there)) {
    const node = nodeOf(there)
    for (let below = node; below < node + NODE_BYTES; below += 4) uncover(below, length, entry)
  } else if (there >> ENTRY_LENGTH_SHIFT === length) store<u32>(at, entry)
}

/**
 * Takes out nodes on the way to a prefix in which no route ends any more, from
 * the lowest on: all entries are of one route that ends above. `bits` is what
 * `at` has of the address.
 */
function fold(tables: u32, fib: u32, w0: u32, w1: u32, w2: u32, w3: u32, bits: u32, at: u32): void {
  const entry = load<u32>(at)
  if (!isNode(entry)) return
  const node = nodeOf(entry)
  fold(tables, fib, w0, w1, w2, w3, bits + NODE_BITS, node + (byteAt(w0, w1, w2, w3, bits) << 2))
  const first = load<u32>(node)
  if (isNode(first) || first >> ENTRY_LENGTH_SHIFT > bits) return
  const entries = i32x4.splat(first)
  for (let below = node; below < node + NODE_BYTES; below += 16) {
    if (!i32x4.all_true(i32x4.eq(v128.load(below), entries))) return
  }
  atomic.store<u32>(at, first)
  retireNode(tables, fib, node)
}

/** The byte of an address that begins `bits` into it. */
function byteAt(w0: u32, w1: u32, w2: u32, w3: u32, bits: u32): u32 {
  const word = bits < 32 ? w0 : bits < 64 ? w1 : bits < 96 ? w2 : w3
  return (word >> (24 - (bits & 31))) & 0xff
}
