import { DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES } from '../memory/formats'
import { ETHERTYPE_IPV6, TYPES } from './ethernet.inline.as'
import { FIB_ROOT, FIB_ROOT_SHIFT, STAGE_VECTORS, TABLES_V4, VECTOR_IPV6, VECTOR_SWAP } from './formats'
import { DESTINATION } from './forward-v4.inline.as'
import { destinationLeaf6 } from './forward-v6.inline.as'
import { isNode, leafOf4 } from './lookup.inline.as'

const FOUR_DESCRIPTORS: u32 = 64
const FOUR_LEAVES: u32 = 16

/** The leaf of each packet as if it were IP without VLAN tags; what is something else has one that nobody asks for. */
export function lookUp(stage: u32, tables: u32, first: u32, last: u32, leaves: u32): void {
  for (let at = first; at < last; ) {
    at = lookUpFours(stage, tables, at, last, leaves + ((at - first) >> 2))
    const end: u32 = min<u32>(at + FOUR_DESCRIPTORS, last)
    lookUpEach(tables, at, end, leaves + ((at - first) >> 2))
    at = end
  }
}

/**
 * Looks up four packets at once, as long as all four are IPv4 (or no IP) and
 * find their leaves in the root; the descriptor up to which there were such.
 * A loop of its own without a call: one that sometimes calls something loads
 * what it has in registers again in each turn.
 */
function lookUpFours(stage: u32, tables: u32, first: u32, last: u32, leaves: u32): u32 {
  const root = load<u32>(tables + TABLES_V4, FIB_ROOT)
  const left = load<u32>(tables + TABLES_V4, FIB_ROOT_SHIFT)
  const vectors = load<u32>(stage, STAGE_VECTORS)
  const swap = v128.load(vectors, VECTOR_SWAP)
  const ipv6 = v128.load(vectors, VECTOR_IPV6)
  let at = first
  for (let leaf = leaves; last - at >= FOUR_DESCRIPTORS; at += FOUR_DESCRIPTORS, leaf += FOUR_LEAVES) {
    const packet0 = load<u32>(at, DESCRIPTOR_ADDRESS)
    const packet1 = load<u32>(at, DESCRIPTOR_ADDRESS + DESCRIPTOR_BYTES)
    const packet2 = load<u32>(at, DESCRIPTOR_ADDRESS + 2 * DESCRIPTOR_BYTES)
    const packet3 = load<u32>(at, DESCRIPTOR_ADDRESS + 3 * DESCRIPTOR_BYTES)
    const types = fourTypes(packet0, packet1, packet2, packet3)
    if (v128.any_true(i16x8.eq(types, ipv6))) break
    const addresses = i8x16.swizzle(fourDestinations(packet0, packet1, packet2, packet3), swap)
    const places = i32x4.add(i32x4.shl(i32x4.shr_u(addresses, left), 2), i32x4.splat(root))
    const entry0 = load<u32>(i32x4.extract_lane(places, 0))
    const entry1 = load<u32>(i32x4.extract_lane(places, 1))
    const entry2 = load<u32>(i32x4.extract_lane(places, 2))
    const entry3 = load<u32>(i32x4.extract_lane(places, 3))
    if (isNode(entry0 | entry1 | entry2 | entry3)) break
    store<u32>(leaf, entry0)
    store<u32>(leaf, entry1, 4)
    store<u32>(leaf, entry2, 8)
    store<u32>(leaf, entry3, 12)
  }
  return at
}

function fourTypes(packet0: u32, packet1: u32, packet2: u32, packet3: u32): v128 {
  let words = v128.load32_zero(packet0, TYPES)
  words = v128.load_lane<u32>(packet1, words, 1, TYPES)
  words = v128.load_lane<u32>(packet2, words, 2, TYPES)
  return v128.load_lane<u32>(packet3, words, 3, TYPES)
}

function fourDestinations(packet0: u32, packet1: u32, packet2: u32, packet3: u32): v128 {
  let words = v128.load32_zero(packet0, DESTINATION)
  words = v128.load_lane<u32>(packet1, words, 1, DESTINATION)
  words = v128.load_lane<u32>(packet2, words, 2, DESTINATION)
  return v128.load_lane<u32>(packet3, words, 3, DESTINATION)
}

function lookUpEach(tables: u32, first: u32, last: u32, leaves: u32): void {
  const root = load<u32>(tables + TABLES_V4, FIB_ROOT)
  const left = load<u32>(tables + TABLES_V4, FIB_ROOT_SHIFT)
  for (let at = first, leaf = leaves; at < last; at += DESCRIPTOR_BYTES, leaf += 4) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    if (<u32>load<u16>(packet, TYPES) === ETHERTYPE_IPV6) {
      store<u32>(leaf, destinationLeaf6(tables, packet))
      continue
    }
    const address = bswap<u32>(load<u32>(packet, DESTINATION))
    const entry = load<u32>(root + ((address >> left) << 2))
    store<u32>(leaf, isNode(entry) ? leafOf4(entry, left, address) : entry)
  }
}
