import { DESCRIPTOR_ADDRESS, FLAG_IPV6 } from '../memory/formats'
import {
  ENTRY_HASH,
  ENTRY_NETWORK,
  ENTRY_OFFLOAD,
  ENTRY_PLACE,
  GRO_BUCKET_SLOTS,
  GRO_BUCKETS,
  GRO_ORDER,
  GRO_ORDER_COUNT,
  GRO_ORDER_PLACES,
} from './gro-layout.inline.as'
import { ENTRY_BYTES, GRO_ENTRIES, GRO_HASHES } from './offload-state'
import { ETHERNET_BYTES, IPV4_ADDRESSES, IPV6_ADDRESSES, IPV6_NEXT, transportOf } from './transport.inline.as'

/** Version and flow label, as they are loaded; the traffic class may differ within a flow. */
const IPV6_FLOW: u32 = 0xffff_0ff0

/** The entry that waits for packets of the flow of `incoming`, or 0. */
export function findFlow(state: u32, incoming: u32): u32 {
  const hash = load<u32>(incoming, ENTRY_HASH)
  const first = firstSlotOf(hash)
  for (let slot = first; slot < first + GRO_BUCKET_SLOTS; slot++) {
    if (load<u32>(state + (slot << 2), GRO_HASHES) !== hash) continue
    const entry = state + GRO_ENTRIES + slot * ENTRY_BYTES
    if (isSameFlow(entry, incoming)) return entry
  }
  return 0
}

/** A free slot of the bucket of `incoming`, as an entry, or 0. */
export function findRoom(state: u32, incoming: u32): u32 {
  const first = firstSlotOf(load<u32>(incoming, ENTRY_HASH))
  for (let slot = first; slot < first + GRO_BUCKET_SLOTS; slot++) {
    if (load<u32>(state + (slot << 2), GRO_HASHES) === 0) return state + GRO_ENTRIES + slot * ENTRY_BYTES
  }
  return 0
}

/** The entry of the full bucket of `incoming` that has waited longest. */
export function findOldest(state: u32, incoming: u32): u32 {
  const first = state + GRO_ENTRIES + firstSlotOf(load<u32>(incoming, ENTRY_HASH)) * ENTRY_BYTES
  let oldest = first
  for (let entry = first; entry < first + GRO_BUCKET_SLOTS * ENTRY_BYTES; entry += ENTRY_BYTES) {
    if (load<u32>(entry, ENTRY_PLACE) < load<u32>(oldest, ENTRY_PLACE)) oldest = entry
  }
  return oldest
}

/** Copies `incoming` to the free slot `entry`, as the last in the order. */
export function keep(state: u32, entry: u32, incoming: u32): void {
  if (load<u32>(state, GRO_ORDER_COUNT) === GRO_ORDER_PLACES) closeRanks(state)
  const place = load<u32>(state, GRO_ORDER_COUNT)
  const slot = (entry - state - GRO_ENTRIES) / ENTRY_BYTES
  memory.copy(entry, incoming, ENTRY_BYTES)
  store<u32>(entry, place, ENTRY_PLACE)
  store<u32>(state + (slot << 2), load<u32>(incoming, ENTRY_HASH), GRO_HASHES)
  store<u8>(state + place, <u8>(slot + 1), GRO_ORDER)
  store<u32>(state, place + 1, GRO_ORDER_COUNT)
}

/** Makes the slot of an entry free; what it holds can be read until the next is kept. */
export function letGo(state: u32, entry: u32): void {
  const slot = (entry - state - GRO_ENTRIES) / ENTRY_BYTES
  store<u32>(state + (slot << 2), 0, GRO_HASHES)
  store<u8>(state + load<u32>(entry, ENTRY_PLACE), 0, GRO_ORDER)
}

/** The entry at a place of the order, or 0 where it has left. */
export function entryAt(state: u32, place: u32): u32 {
  const number = <u32>load<u8>(state + place, GRO_ORDER)
  return number === 0 ? 0 : state + GRO_ENTRIES + (number - 1) * ENTRY_BYTES
}

/** Moves those who still wait to the front of the order. */
function closeRanks(state: u32): void {
  let to: u32 = 0
  for (let from: u32 = 0; from < <u32>GRO_ORDER_PLACES; from++) {
    const entry = entryAt(state, from)
    if (entry === 0) continue
    store<u32>(entry, to, ENTRY_PLACE)
    store<u8>(state + to, load<u8>(state + from, GRO_ORDER), GRO_ORDER)
    to++
  }
  store<u32>(state, to, GRO_ORDER_COUNT)
}

function firstSlotOf(hash: u32): u32 {
  return (hash & (GRO_BUCKETS - 1)) * GRO_BUCKET_SLOTS
}

/** Link layer, addresses, ports, and for IPv6 flow label and extension headers: `gro_list_prepare` and behind. */
function isSameFlow(entry: u32, incoming: u32): bool {
  const offload = load<u32>(entry, ENTRY_OFFLOAD)
  const network = load<u32>(entry, ENTRY_NETWORK)
  if (offload !== load<u32>(incoming, ENTRY_OFFLOAD) || network !== load<u32>(incoming, ENTRY_NETWORK)) return false
  const one = load<u32>(entry, DESCRIPTOR_ADDRESS)
  const other = load<u32>(incoming, DESCRIPTOR_ADDRESS)
  const transport = transportOf(offload)
  let difference = (load<u64>(one) ^ load<u64>(other)) | (load<u64>(one, 6) ^ load<u64>(other, 6))
  for (let at = ETHERNET_BYTES; at < network; at += 4) difference |= load<u32>(one + at) ^ load<u32>(other + at)
  difference |= load<u32>(one + transport) ^ load<u32>(other + transport)
  if ((offload & FLAG_IPV6) === 0) {
    return (difference | (load<u64>(one + network, IPV4_ADDRESSES) ^ load<u64>(other + network, IPV4_ADDRESSES))) === 0
  }
  difference |= (load<u32>(one + network) ^ load<u32>(other + network)) & IPV6_FLOW
  difference |= load<u8>(one + network, IPV6_NEXT) ^ load<u8>(other + network, IPV6_NEXT)
  for (let at = network + <u32>IPV6_ADDRESSES; at < transport; at += 8) {
    difference |= load<u64>(one + at) ^ load<u64>(other + at)
  }
  return difference === 0
}
