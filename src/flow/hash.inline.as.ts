import { FLOWS_KEY, KEY_FAMILY, TUPLE_BYTES } from './formats'

/**
 * SipHash-1-3 (Aumasson and Bernstein, 2012) of a key, under the table's secret:
 * who does not know it cannot choose flows that share a bucket. The two lengths
 * that there are differ in the family, which is a part of what is hashed; so no
 * block with the length is needed.
 */
export function hashOf(flows: u32, tuple: u32): u64 {
  if (load<u8>(tuple, KEY_FAMILY) === 4) return hashWords(flows, load<u64>(tuple), load<u64>(tuple, 8))
  const key0 = load<u64>(flows, FLOWS_KEY)
  const key1 = load<u64>(flows, FLOWS_KEY + 8)
  let v0 = key0 ^ (((<u64>0x736f6d65) << 32) | 0x70736575)
  let v1 = key1 ^ (((<u64>0x646f7261) << 32) | 0x6e646f6d)
  let v2 = key0 ^ (((<u64>0x6c796765) << 32) | 0x6e657261)
  let v3 = key1 ^ (((<u64>0x74656462) << 32) | 0x79746573)
  // One round for each word, then three more.
  const end = tuple + TUPLE_BYTES
  for (let at = tuple, last = end + 24; at < last; at += 8) {
    const word: u64 = at < end ? load<u64>(at) : 0
    if (at === end) v2 ^= 0xff
    v3 ^= word
    v0 += v1
    v2 += v3
    v1 = rotl<u64>(v1, 13) ^ v0
    v3 = rotl<u64>(v3, 16) ^ v2
    v0 = rotl<u64>(v0, 32)
    v2 += v1
    v0 += v3
    v1 = rotl<u64>(v1, 17) ^ v2
    v3 = rotl<u64>(v3, 21) ^ v0
    v2 = rotl<u64>(v2, 32)
    v0 ^= word
  }
  return v0 ^ v1 ^ v2 ^ v3
}

/** The same of the two words of an IPv4 key: the rounds are written out, because a loop around them costs a third more. */
export function hashWords(flows: u32, one: u64, two: u64): u64 {
  const key0 = load<u64>(flows, FLOWS_KEY)
  const key1 = load<u64>(flows, FLOWS_KEY + 8)
  let v0 = key0 ^ (((<u64>0x736f6d65) << 32) | 0x70736575)
  let v1 = key1 ^ (((<u64>0x646f7261) << 32) | 0x6e646f6d)
  let v2 = key0 ^ (((<u64>0x6c796765) << 32) | 0x6e657261)
  let v3 = key1 ^ (((<u64>0x74656462) << 32) | 0x79746573)
  v3 ^= one
  v0 += v1
  v2 += v3
  v1 = rotl<u64>(v1, 13) ^ v0
  v3 = rotl<u64>(v3, 16) ^ v2
  v0 = rotl<u64>(v0, 32)
  v2 += v1
  v0 += v3
  v1 = rotl<u64>(v1, 17) ^ v2
  v3 = rotl<u64>(v3, 21) ^ v0
  v2 = rotl<u64>(v2, 32)
  v0 ^= one
  v3 ^= two
  v0 += v1
  v2 += v3
  v1 = rotl<u64>(v1, 13) ^ v0
  v3 = rotl<u64>(v3, 16) ^ v2
  v0 = rotl<u64>(v0, 32)
  v2 += v1
  v0 += v3
  v1 = rotl<u64>(v1, 17) ^ v2
  v3 = rotl<u64>(v3, 21) ^ v0
  v2 = rotl<u64>(v2, 32)
  v0 ^= two
  v2 ^= 0xff
  v0 += v1
  v2 += v3
  v1 = rotl<u64>(v1, 13) ^ v0
  v3 = rotl<u64>(v3, 16) ^ v2
  v0 = rotl<u64>(v0, 32)
  v2 += v1
  v0 += v3
  v1 = rotl<u64>(v1, 17) ^ v2
  v3 = rotl<u64>(v3, 21) ^ v0
  v2 = rotl<u64>(v2, 32)
  v0 += v1
  v2 += v3
  v1 = rotl<u64>(v1, 13) ^ v0
  v3 = rotl<u64>(v3, 16) ^ v2
  v0 = rotl<u64>(v0, 32)
  v2 += v1
  v0 += v3
  v1 = rotl<u64>(v1, 17) ^ v2
  v3 = rotl<u64>(v3, 21) ^ v0
  v2 = rotl<u64>(v2, 32)
  v0 += v1
  v2 += v3
  v1 = rotl<u64>(v1, 13) ^ v0
  v3 = rotl<u64>(v3, 16) ^ v2
  v0 = rotl<u64>(v0, 32)
  v2 += v1
  v0 += v3
  v1 = rotl<u64>(v1, 17) ^ v2
  v3 = rotl<u64>(v3, 21) ^ v0
  v2 = rotl<u64>(v2, 32)
  return v0 ^ v1 ^ v2 ^ v3
}
