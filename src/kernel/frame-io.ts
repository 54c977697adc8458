import { type LinearMemory, memoryAddress } from './linear-memory.js'
import { ERRNO, trySyscall } from './syscall.js'

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

/** Reads and writes whole frames of `memory`: read(2), write(2). EFAULT where the place is not inside it. */
export function createFrameIo(memory: LinearMemory): FrameIo {
  const base = memoryAddress(memory)
  // Held, so that the memory stays while this can be called.
  const bytes = new Uint8Array(memory.buffer)
  const isInside = (at: number, lengthBytes: number) => at >= 0 && lengthBytes >= 0 && at + lengthBytes <= bytes.length
  return {
    read: (fd, at, lengthBytes) =>
      isInside(at, lengthBytes) ? trySyscall('read', fd, base + at, lengthBytes) : -ERRNO.EFAULT,
    write: (fd, at, lengthBytes) =>
      isInside(at, lengthBytes) ? trySyscall('write', fd, base + at, lengthBytes) : -ERRNO.EFAULT,
  }
}
