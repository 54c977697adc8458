import type { MapSpec } from './program.js'

/**
 * Data that a program reads without a helper call and that is replaced in one
 * step: an array map with one value, which user space maps into its memory.
 *
 *     0                      u32: byte offset of the live half, 0 or halfBytes
 *     HALVES_AT              first half
 *     HALVES_AT + halfBytes  second half
 *
 * A program adds the u32 to the value's address once and then sees one half. A
 * writer fills the other half, then stores its offset.
 */
export const HALVES_AT = 64

/** BPF_F_MMAPABLE (include/uapi/linux/bpf.h). */
const MEMORY_MAPPABLE = 1 << 10

/** The map whose live half begins with `image`; both halves have `halfBytes`, a multiple of 64. */
export function doubleBuffer(name: string, image: Uint8Array, halfBytes: number): MapSpec {
  return {
    name,
    kind: 'array',
    keyBytes: 4,
    valueBytes: HALVES_AT + 2 * halfBytes,
    maxEntries: 1,
    flags: MEMORY_MAPPABLE,
    contents: { at: HALVES_AT, bytes: image },
  }
}

/** Bytes that each half of such a map has. */
export function halfBytesOf({ valueBytes }: MapSpec): number {
  return (valueBytes - HALVES_AT) / 2
}
