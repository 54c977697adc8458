import { SAMPLE_HEADER } from '../ebpf/index.js'
import { openRingBuffer, type RingBuffer } from '../kernel/index.js'
import type { LoadedMap } from './load.js'

/** One packet that a `sample` rule drew. */
export interface Sample {
  /** Nanoseconds of CLOCK_MONOTONIC, as process.hrtime has it. */
  readonly timeNs: number
  /** The rule's place in the policy's maps. */
  readonly slot: number
  /** The packet's length in bytes, of which `bytes` are the first. */
  readonly wireLength: number
  readonly bytes: Uint8Array
}

/** Reads samples of whatever ring buffer is in use; it maps one at a time. */
export interface SampleReader {
  /** At most `most`, oldest first, copied; none where there is no map. */
  read(map: LoadedMap | null, most: number): Sample[]
  close(): void
}

export function createSampleReader(): SampleReader {
  let current: { readonly map: LoadedMap; readonly ring: RingBuffer } | null = null
  const close = () => {
    current?.ring.close()
    current = null
  }
  return {
    read(map, most) {
      if (current !== null && current.map !== map) close()
      if (map === null) return []
      current ??= { map, ring: openRingBuffer(map.fd, map.spec.maxEntries) }
      const samples: Sample[] = []
      current.ring.read(most, (record) => void samples.push(sampleOf(record)))
      return samples
    },
    close,
  }
}

function sampleOf(record: Uint8Array): Sample {
  const view = new DataView(record.buffer, record.byteOffset)
  const captured = view.getUint32(SAMPLE_HEADER.captured, true)
  return {
    timeNs: Number(view.getBigUint64(SAMPLE_HEADER.timeNs, true)),
    slot: view.getUint32(SAMPLE_HEADER.slot, true),
    wireLength: view.getUint32(SAMPLE_HEADER.wireLength, true),
    // A copy, because the record is the kernel's again when the reader goes on.
    bytes: record.slice(SAMPLE_HEADER.bytes, SAMPLE_HEADER.bytes + captured),
  }
}
