import { DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES } from '../memory/formats'
import { ETHERTYPE_IPV6, TYPES } from './ethernet.inline.as'
import { FIB_ROOT, FIB_ROOT_SHIFT, TABLES_V4 } from './formats'
import { DESTINATION } from './forward-v4.inline.as'
import { destinationLeaf6 } from './forward-v6.inline.as'
import { isNode, leafOf4 } from './lookup.inline.as'

/** The leaf of each packet as if it were IP without VLAN tags; what is something else has one that nobody asks for. */
export function lookUp(tables: u32, first: u32, last: u32, leaves: u32): void {
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
