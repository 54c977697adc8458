import { closeDescriptor, openDescriptor } from './descriptors.js'
import { addressOf, trySyscall } from './syscall.js'

/** A descriptor by which threads of this process wake one that sleeps in poll(2): eventfd(2). Any thread may use it. */
export interface KernelEvent {
  /** Readable from `raise` on, until somebody clears it. */
  readonly fd: number
  close(): void
}

const EFD_CLOEXEC = 0o2000000
const EFD_NONBLOCK = 0o4000

/** Each a number of 64 bits; the functions below keep them, and with them their addresses. */
const [one, taken] = [Uint32Array.of(1, 0), new Uint32Array(2)]
const [oneAt, takenAt] = [Number(addressOf(one)), Number(addressOf(taken))]

/** Throws KernelError. */
export function openEvent(): KernelEvent {
  const fd = openDescriptor('eventfd', 'eventfd2', 0, EFD_CLOEXEC | EFD_NONBLOCK)
  return { fd, close: () => closeDescriptor(fd) }
}

export function raiseEvent(fd: number): void {
  trySyscall('write', fd, oneAt, one.byteLength)
}

/** Whether it was raised; it is not any more. */
export function clearEvent(fd: number): boolean {
  return trySyscall('read', fd, takenAt, taken.byteLength) === taken.byteLength
}
