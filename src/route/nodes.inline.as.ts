import {
  FIB_FREE,
  FIB_FRESH,
  FIB_LAST_WAITING,
  FIB_LINKS,
  FIB_NODE_COUNT,
  FIB_NODES,
  FIB_USED,
  FIB_WAITING,
  FIB_WAITING_COUNT,
  LINK_BYTES,
  NODE_BYTES,
  NODE_SHIFT,
  TABLES_GENERATION,
} from './formats'
import { isUnseen } from './readers.inline.as'

/** How often a writer looks whether the readers have gone on; a reader's bundle takes a few microseconds. */
const MOST_LOOKS: u32 = 1000

/** Generation that a node was taken out with, in its link. */
const LINK_GENERATION: usize = 4

/** Whether so many nodes can be had; those that nobody sees any more are free from here on. */
export function hasNodes(tables: u32, fib: u32, wanted: u32): bool {
  if (wanted === 0) return true
  const inUse = load<u32>(fib, FIB_USED) + load<u32>(fib, FIB_WAITING_COUNT)
  if (load<u32>(fib, FIB_NODE_COUNT) - inUse >= wanted) return true
  if (load<u32>(fib, FIB_NODE_COUNT) - load<u32>(fib, FIB_USED) < wanted) return false
  for (let look: u32 = 0; look < MOST_LOOKS; look++) {
    reclaim(tables, fib)
    const left = load<u32>(fib, FIB_NODE_COUNT) - load<u32>(fib, FIB_USED) - load<u32>(fib, FIB_WAITING_COUNT)
    if (left >= wanted) return true
  }
  return false
}

/** A node that `hasNodes` has promised, each entry `entry`; its address. */
export function takeNode(fib: u32, entry: u32): u32 {
  let index: u32
  const free = load<u32>(fib, FIB_FREE)
  if (free !== 0) {
    index = free - 1
    store<u32>(fib, load<u32>(linkOf(fib, index)), FIB_FREE)
  } else {
    index = load<u32>(fib, FIB_FRESH)
    store<u32>(fib, index + 1, FIB_FRESH)
  }
  store<u32>(fib, load<u32>(fib, FIB_USED) + 1, FIB_USED)
  const node = load<u32>(fib, FIB_NODES) + (index << NODE_SHIFT)
  const entries = i32x4.splat(entry)
  for (let at = node; at < node + NODE_BYTES; at += 16) v128.store(at, entries)
  return node
}

/** A node that no entry leads to any more waits for those who are in it. */
export function retireNode(tables: u32, fib: u32, node: u32): void {
  const index = (node - load<u32>(fib, FIB_NODES)) >> NODE_SHIFT
  const link = linkOf(fib, index)
  store<u32>(link, 0)
  store<u32>(link, load<u32>(tables, TABLES_GENERATION), LINK_GENERATION)
  const last = load<u32>(fib, FIB_LAST_WAITING)
  if (last === 0) store<u32>(fib, index + 1, FIB_WAITING)
  else store<u32>(linkOf(fib, last - 1), index + 1)
  store<u32>(fib, index + 1, FIB_LAST_WAITING)
  store<u32>(fib, load<u32>(fib, FIB_WAITING_COUNT) + 1, FIB_WAITING_COUNT)
  store<u32>(fib, load<u32>(fib, FIB_USED) - 1, FIB_USED)
}

/** Frees what has waited long enough: the front of a list in the order in which nodes were taken out. */
function reclaim(tables: u32, fib: u32): void {
  for (let first = load<u32>(fib, FIB_WAITING); first !== 0; ) {
    const link = linkOf(fib, first - 1)
    if (!isUnseen(tables, load<u32>(link, LINK_GENERATION))) return
    const next = load<u32>(link)
    store<u32>(link, load<u32>(fib, FIB_FREE))
    store<u32>(fib, first, FIB_FREE)
    store<u32>(fib, next, FIB_WAITING)
    if (next === 0) store<u32>(fib, 0, FIB_LAST_WAITING)
    store<u32>(fib, load<u32>(fib, FIB_WAITING_COUNT) - 1, FIB_WAITING_COUNT)
    first = next
  }
}

function linkOf(fib: u32, index: u32): u32 {
  return load<u32>(fib, FIB_LINKS) + index * LINK_BYTES
}
