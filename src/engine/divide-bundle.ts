import { BUNDLE_DESCRIPTORS, DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, type Space } from '../memory/index.js'

/**
 * Hands a bundle on in pieces, in the order of its packets: those in a row that
 * `keyOf` gives the same for stay together. `take` finds them in the bundle, and
 * leaves it empty. Allocates: for bundles with packets that somebody follows.
 */
export function divideBundle<Key>(
  { words, bytes }: Space,
  bundle: number,
  keyOf: (packet: number, index: number) => Key,
  take: (key: Key, count: number) => void,
): void {
  const count = words[bundle >>> 2]!
  const at = bundle + BUNDLE_DESCRIPTORS
  const keys = Array.from({ length: count }, (_, index) =>
    keyOf(words[(at + index * DESCRIPTOR_BYTES + DESCRIPTOR_ADDRESS) >>> 2]!, index),
  )
  const all = bytes.slice(at, at + count * DESCRIPTOR_BYTES)
  for (let from = 0; from < count; ) {
    let until = from + 1
    while (until < count && keys[until] === keys[from]) until++
    bytes.set(all.subarray(from * DESCRIPTOR_BYTES, until * DESCRIPTOR_BYTES), at)
    words[bundle >>> 2] = until - from
    take(keys[from]!, until - from)
    from = until
  }
}
