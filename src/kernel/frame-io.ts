import { type LinearMemory, memoryAddress } from './linear-memory.js'
import { addressOf, ERRNO, trySyscall } from './syscall.js'

/**
 * Frames between a descriptor and a linear memory, at byte offsets of it. Each
 * call gives a number of bytes or `-errno`, throws nothing and allocates
 * nothing: EAGAIN where there is nothing to read or no room to write.
 */
export interface FrameIo {
  /** One frame into the memory; what is longer than `lengthBytes` is cut off. */
  read(fd: number, at: number, lengthBytes: number): number
  write(fd: number, at: number, lengthBytes: number): number
}

/**
 * Reads and writes whole frames of `memory`: readv(2) and writev(2) with one
 * struct iovec, because an address that is handed over as an argument would be
 * a number on the heap each time. EFAULT where the place is not inside the
 * memory. Each thread makes its own.
 */
export function createFrameIo(memory: LinearMemory): FrameIo {
  const base = memoryAddress(memory)
  // Held, so that the memory stays while this can be called.
  const bytes = new Uint8Array(memory.buffer)
  const vector = new Uint32Array(4)
  const vectorAt = Number(addressOf(vector))
  const point = (at: number, lengthBytes: number) => {
    if (!(at >= 0 && lengthBytes >= 0 && at + lengthBytes <= bytes.length)) return false
    vector[0] = base + at
    vector[1] = (base + at) / 2 ** 32
    vector[2] = lengthBytes
    return true
  }
  return {
    read: (fd, at, lengthBytes) => (point(at, lengthBytes) ? trySyscall('readv', fd, vectorAt, 1) : -ERRNO.EFAULT),
    write: (fd, at, lengthBytes) => (point(at, lengthBytes) ? trySyscall('writev', fd, vectorAt, 1) : -ERRNO.EFAULT),
  }
}
