import { DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES } from '../memory/formats'
import { HOP_WAY, KIND_UNRESOLVED } from './formats'
import { destinationLeaf4 } from './forward-v4.inline.as'
import { destinationLeaf6 } from './forward-v6.inline.as'
import { enter, leave } from './readers.inline.as'
import { wayKind } from './way.inline.as'
import { hopLine, hopOf } from './ways.inline.as'

const TYPE: usize = 12
const ETHERTYPE_IPV6: u32 = 0xdd86

/**
 * Looks `count` packets up that wait for a neighbour, and writes a byte for each
 * to `answers`: 0 where `forward` would send it here again, also by a group of
 * which its flow's member is not known; else 1.
 */
export function holdLook(tables: u32, reader: u32, descriptors: u32, count: u32, answers: u32): void {
  enter(tables, reader)
  for (let index: u32 = 0; index < count; index++) {
    const at = descriptors + index * DESCRIPTOR_BYTES
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const isIpv6 = <u32>load<u16>(packet, TYPE) === ETHERTYPE_IPV6
    const leaf = isIpv6 ? destinationLeaf6(tables, packet) : destinationLeaf4(tables, packet)
    const way = load<u32>(hopLine(tables, hopOf(tables, leaf, at, packet)), HOP_WAY)
    store<u8>(answers + index, <u8>(wayKind(way) !== KIND_UNRESOLVED))
  }
  leave(reader)
}
