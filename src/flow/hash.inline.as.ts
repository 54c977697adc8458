import { FLOWS_KEY, KEY_FAMILY, TUPLE_ADDRESSES } from './formats'

/**
 * SipHash-1-3 (Aumasson and Bernstein, 2012) of a key, under the table's secret:
 * who does not know it cannot choose flows that share a bucket. The two lengths
 * that there are differ in the family, which is a part of what is hashed; so no
 * block with the length is needed.
 */
export function hashOf(flows: u32, tuple: u32): u64 {
  const key0 = load<u64>(flows, FLOWS_KEY)
  const key1 = load<u64>(flows, FLOWS_KEY + 8)
  let v0 = key0 ^ (((<u64>0x736f6d65) << 32) | 0x70736575)
  let v1 = key1 ^ (((<u64>0x646f7261) << 32) | 0x6e646f6d)
  let v2 = key0 ^ (((<u64>0x6c796765) << 32) | 0x6e657261)
  let v3 = key1 ^ (((<u64>0x74656462) << 32) | 0x79746573)
  const end = tuple + (load<u8>(tuple, KEY_FAMILY) === 6 ? 48 : <u32>TUPLE_ADDRESSES)
  for (let at = tuple; at < end; at += 8) {
    const word = load<u64>(at)
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
  v2 ^= 0xff
  for (let round = 0; round < 3; round++) {
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
  }
  return v0 ^ v1 ^ v2 ^ v3
}
