/**
 * What the words of the stage `fragment` mean, for TypeScript and
 * AssemblyScript alike: both compile this file, so it may hold nothing but
 * numbers. Offsets are in bytes, all words little-endian.
 *
 *     0    u32  the next descriptor of the bundle to look at, and where they end (`engine/pending.inline.as.ts`)
 *     8    u32  payload bytes of the packet at `next` that have been cut off
 *     12   u32  address of the routing tables
 *     16   u32  of the bundle of fragments
 *     20   u32  of the drop counters, f64 each; of where identifications are taken from, or 0
 *     32        room for one frame, as a bundle
 *     64        the bundle's descriptors
 */
export const FRAGMENT_TABLES = 12
export const FRAGMENT_OUTPUT = 16
export const FRAGMENT_DROPS = 20
export const FRAGMENT_IDENTIFY = 24
export const FRAGMENT_BYTES = 4160
