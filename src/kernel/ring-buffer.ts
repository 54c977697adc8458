import koffi from 'koffi'
import { MAP, PROTECTION, pageBytes } from './memory-map.js'
import { syscall, trySyscall } from './syscall.js'

/** BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT and BPF_RINGBUF_HDR_SZ (include/uapi/linux/bpf.h). */
const BUSY = 1 << 31
const DISCARD = 1 << 30
const HEADER_BYTES = 8

/** The reading end of a BPF ring buffer; it has one reader. */
export interface RingBuffer {
  /**
   * Hands over at most `most` records, oldest first, and gives their number. A
   * record is a view that is valid inside `use` alone: its memory is the
   * kernel's again afterwards.
   */
  read(most: number, use: (record: Uint8Array) => void): number
  close(): void
}

/**
 * Maps a BPF_MAP_TYPE_RINGBUF of `dataBytes`: a page with the consumer's
 * position, one with the producer's, and the data twice in a row, so that a
 * record that wraps around lies in one piece (kernel/bpf/ringbuf.c). Throws
 * KernelError.
 */
export function openRingBuffer(fd: number, dataBytes: number): RingBuffer {
  const { own, shared, dataAt, unmap } = mapRingBuffer(fd, dataBytes)
  const consumer = new BigUint64Array(own, 0, 1)
  const producer = new BigUint64Array(shared, 0, 1)
  const data = new Uint8Array(shared, dataAt)
  const headers = new Int32Array(shared, dataAt)
  let isOpen = true
  return {
    read(most, use) {
      if (!isOpen) return 0
      const end = Number(Atomics.load(producer, 0))
      let at = Number(Atomics.load(consumer, 0))
      let taken = 0
      try {
        while (taken < most && at < end) {
          const offset = at % dataBytes
          const header = Atomics.load(headers, offset / 4)
          // A program is still writing it; those behind it have to wait.
          if (header & BUSY) break
          const length = header & ~DISCARD
          at += (HEADER_BYTES + length + 7) & ~7
          if (header & DISCARD) continue
          taken++
          use(data.subarray(offset + HEADER_BYTES, offset + HEADER_BYTES + length))
        }
      } finally {
        Atomics.store(consumer, 0, BigInt(at))
      }
      return taken
    },
    close() {
      if (isOpen) unmap()
      isOpen = false
    },
  }
}

/** Both mappings: `own` is the consumer's page; in `shared` the data begin at `dataAt`, behind the producer's page. */
function mapRingBuffer(fd: number, dataBytes: number) {
  const page = pageBytes()
  const map = (length: number, protection: number, offset: number) =>
    BigInt(syscall('map a ring buffer into memory', 'mmap', 0, length, protection, MAP.shared, fd, offset))
  const sharedBytes = page + 2 * dataBytes
  const own = map(page, PROTECTION.read | PROTECTION.write, 0)
  let shared: bigint
  try {
    shared = map(sharedBytes, PROTECTION.read, page)
  } catch (error) {
    trySyscall('munmap', own, page)
    throw error
  }
  return {
    own: koffi.view(own, page),
    shared: koffi.view(shared, sharedBytes),
    dataAt: page,
    unmap() {
      trySyscall('munmap', own, page)
      trySyscall('munmap', shared, sharedBytes)
    },
  }
}
