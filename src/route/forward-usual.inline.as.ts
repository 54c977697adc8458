import { DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, DESCRIPTOR_CAPTURED } from '../memory/formats'
import { append } from './ends.inline.as'
import { ETHERNET_BYTES } from './ethernet.inline.as'
import {
  ENTRY_HOP_MASK,
  FORWARD_CHECKSUM,
  HOP_ADDRESSES,
  HOP_SHIFT,
  HOP_WAY,
  KIND_FORWARD,
  PORT_FORWARDS,
  PORT_SETTINGS,
  STAGE_ENDS,
  STAGE_PORT_LINE,
  STAGE_SETTINGS,
  STAGE_VECTORS,
  TABLES_HOPS,
  VECTOR_BARRED,
  VECTOR_BARRED_WHERE,
  VECTOR_LEAST,
  VECTOR_OWN_WHERE,
  VECTOR_SPREAD,
  WAY_KIND_SHIFT,
  WAY_MTU_SHIFT,
} from './formats'
import { DESTINATION, FRAGMENT_WORD, LIVE, SOURCE, shorten, TOTAL, VERSION } from './forward-v4.inline.as'
import { wayPort } from './way.inline.as'

const SHORTEST_TOTAL: u32 = 20
/** A way that goes by a port, for packets of no length. */
const FORWARDED: u32 = KIND_FORWARD << WAY_KIND_SHIFT
/**
 * A header is right where the sum of its words is a multiple of 65535, which is
 * 0 in one's complement (RFC 1071); it is not 0, since the version is not. A
 * number is a multiple of an odd one exactly where its product with the inverse
 * of that, modulo 2^64, is at most 2^64 - 1 divided by it (Granlund and
 * Montgomery 1994, 9): one multiplication, where folding takes ten instructions.
 */
const INVERSE: u64 = ((<u64>0xfffefffe) << 32) | 0xfffeffff
const MOST_MULTIPLE: u64 = 0x0001000100010001

/**
 * Forwards packets from the one at `first` on, as long as each is IPv4 that is
 * as usual; gives the address of the first that is not, or `last`. What is asked
 * of a packet is what `wayOf` would find out in many more steps. A loop of its
 * own without a call: one that sometimes calls something loads what it has in
 * registers again for each packet.
 */
export function forwardUsual(stage: u32, tables: u32, first: u32, last: u32, leaves: u32): u32 {
  const ends = load<u32>(stage, STAGE_ENDS)
  const hops = load<u32>(tables, TABLES_HOPS)
  const mostProduct = mostProductOf(stage)
  const vectors = load<u32>(stage, STAGE_VECTORS)
  const own = v128.load(load<u32>(stage, STAGE_PORT_LINE))
  const ownWhere = v128.load(vectors, VECTOR_OWN_WHERE)
  const least = v128.load(vectors, VECTOR_LEAST)
  const spread = v128.load(vectors, VECTOR_SPREAD)
  const barred = v128.load(vectors, VECTOR_BARRED)
  const barredWhere = v128.load(vectors, VECTOR_BARRED_WHERE)
  let at = first
  for (let leaf = leaves; at < last; at += DESCRIPTOR_BYTES, leaf += 4) {
    const packet = load<u32>(at, DESCRIPTOR_ADDRESS)
    const begin = v128.load(packet)
    const header = v128.load(packet, FRAGMENT_WORD)
    const differs = v128.and(v128.xor(begin, own), ownWhere)
    const exceeds = i8x16.sub_sat_u(i8x16.sub(header, least), spread)
    const isBarred = v128.and(i8x16.eq(header, barred), barredWhere)
    if (v128.any_true(v128.or(v128.or(differs, exceeds), isBarred))) break

    const live = load<u32>(packet, LIVE)
    const addresses = <u64>load<u32>(packet, SOURCE) + <u64>load<u32>(packet, DESTINATION)
    const sum = addresses + <u64>load<u32>(packet, VERSION) + <u64>load<u32>(packet, FRAGMENT_WORD) + <u64>live
    if (sum * INVERSE > mostProduct) break

    const line = hops + ((load<u32>(leaf) & ENTRY_HOP_MASK) << HOP_SHIFT)
    const way = load<u32>(line, HOP_WAY)
    const total = ((<u32>load<u8>(packet, TOTAL)) << 8) | <u32>load<u8>(packet, TOTAL + 1)
    // The highest bit is set where something is too small.
    const lacks =
      (total - SHORTEST_TOTAL) |
      (load<u32>(at, DESCRIPTOR_CAPTURED) - ETHERNET_BYTES - total) |
      (way - FORWARDED - (total << WAY_MTU_SHIFT))
    if (<i32>lacks < 0) break

    v128.store(packet, v128.shuffle<u32>(v128.load(line, HOP_ADDRESSES), begin, 0, 1, 2, 7))
    store<u32>(packet, shorten(live), LIVE)
    append(ends, wayPort(way), at)
  }
  return at
}

/** How much a header's sum times INVERSE is at most: anything where sums are not asked for, and 0, which none is, where each packet is to be asked about more than the usual. */
function mostProductOf(stage: u32): u64 {
  const port = load<u32>(stage, STAGE_PORT_LINE)
  if (load<u32>(port, PORT_SETTINGS) !== PORT_FORWARDS) return 0
  return (load<u32>(stage, STAGE_SETTINGS) & FORWARD_CHECKSUM) !== 0 ? MOST_MULTIPLE : u64.MAX_VALUE
}
