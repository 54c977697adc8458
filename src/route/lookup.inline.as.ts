import { ENTRY_NODE, FIB_ROOT, FIB_ROOT_SHIFT, NODE_BITS, NODE_SHIFT } from './formats'

/** Where the entry of an address whose first word is `word` stands in the root. */
export function rootEntry(fib: u32, word: u32): u32 {
  return load<u32>(fib, FIB_ROOT) + ((word >> load<u32>(fib, FIB_ROOT_SHIFT)) << 2)
}

/** From an entry of the root on to the leaf: the entry of an IPv4 address, as a number; `left` are its bits that the root does not have. */
export function leafOf4(rootEntry: u32, left: u32, address: u32): u32 {
  let entry = rootEntry
  let shift = left
  while (isNode(entry)) {
    shift -= NODE_BITS
    entry = load<u32>(nodeOf(entry) + (((address >> shift) & 0xff) << 2))
  }
  return entry
}

/** The same for an IPv6 address that stands, as in a packet, at `address`; `left` are the bits of its first word. */
export function leafOf6(rootEntry: u32, left: u32, address: u32): u32 {
  let entry = rootEntry
  let byte = address + ((32 - left) >> 3)
  while (isNode(entry)) {
    entry = load<u32>(nodeOf(entry) + ((<u32>load<u8>(byte)) << 2))
    byte++
  }
  return entry
}

export function isNode(entry: u32): bool {
  return (entry & ENTRY_NODE) !== 0
}

/** The shift loses the bit that says that it is a node. */
export function nodeOf(entry: u32): u32 {
  return entry << NODE_SHIFT
}
