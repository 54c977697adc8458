import { lookupBatch, possibleCpus } from '../kernel/index.js'
import type { LoadedMap } from './load.js'

const WORD_BYTES = 8
const UINT32_RANGE = 2 ** 32

/** What a rule has counted since it was loaded. */
export interface RuleCount {
  readonly packets: number
  readonly bytes: number
}

/**
 * Reads a per-CPU array of 64-bit words in one call and adds the CPUs up:
 * `entries * words` sums, entry by entry. Exact up to 2^53. The returned
 * function keeps its buffers, so reading each second allocates only the sums.
 */
export function perCpuReader(map: LoadedMap): () => Float64Array {
  const { maxEntries, valueBytes, keyBytes } = map.spec
  const words = Math.ceil(valueBytes / WORD_BYTES)
  const cpus = possibleCpus()
  const keys = new Uint8Array(maxEntries * keyBytes)
  const values = new Uint32Array(maxEntries * cpus * words * 2)
  const valuesBytes = new Uint8Array(values.buffer)
  return () => {
    const read = lookupBatch(map.fd, keys, valuesBytes, maxEntries)
    const sums = new Float64Array(maxEntries * words)
    for (let entry = 0; entry < read; entry++) {
      for (let cpu = 0; cpu < cpus; cpu++) {
        for (let word = 0; word < words; word++) {
          const at = ((entry * cpus + cpu) * words + word) * 2
          sums[entry * words + word]! += values[at]! + values[at + 1]! * UINT32_RANGE
        }
      }
    }
    return sums
  }
}

/** Reads the counters of rules: a per-CPU array whose values are packets and bytes. */
export function ruleCountReader(map: LoadedMap): () => RuleCount[] {
  const read = perCpuReader(map)
  return () => {
    const sums = read()
    return Array.from({ length: map.spec.maxEntries }, (_, rule) => ({
      packets: sums[rule * 2]!,
      bytes: sums[rule * 2 + 1]!,
    }))
  }
}
