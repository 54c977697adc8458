import { WAY_KIND_SHIFT, WAY_MTU_MASK, WAY_MTU_SHIFT, WAY_PORT_MASK } from './formats'

/** What a next hop is: one of KIND_…. */
export function wayKind(way: u32): u32 {
  return way >> WAY_KIND_SHIFT
}

/** Bytes of the longest packet that may go there, from its network header on. */
export function wayMtu(way: u32): u32 {
  return (way >> WAY_MTU_SHIFT) & WAY_MTU_MASK
}

export function wayPort(way: u32): u32 {
  return way & WAY_PORT_MASK
}
