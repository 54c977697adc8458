import { MAP, PROTECTION, pageBytes } from './memory-map.js'
import { addressOf, syscall, trySyscall } from './syscall.js'

/**
 * Memory that rings of the kernel can be mapped into: a `WebAssembly.Memory`
 * whose initial size is its maximum, so that it never moves. Shared, where
 * workers are to see it.
 */
export interface LinearMemory {
  readonly buffer: ArrayBufferLike
}

/**
 * Something of the kernel's that is open: `socket` is plain numbers, which any
 * thread that has the memory can be sent; `close` belongs to the thread that
 * opened it, can be called twice, and leaves nothing.
 */
export interface Opened<Socket> {
  readonly socket: Socket
  close(): void
}

/** A part of a linear memory; both in bytes, `at` on a page's start. */
export interface MemoryRange {
  readonly at: number
  readonly lengthBytes: number
}

/** Where the memory begins, as a number: user space ends below 2^53. */
export function memoryAddress(memory: LinearMemory): number {
  return Number(addressOf(new Uint8Array(memory.buffer)))
}

/** Whole pages that hold so many bytes. */
export function wholePages(lengthBytes: number): number {
  const page = pageBytes()
  return Math.ceil(lengthBytes / page) * page
}

/** Throws a RangeError, which begins with `what`, where the range is not inside the memory or not on a page's start. */
export function checkRange(what: string, memory: LinearMemory, { at, lengthBytes }: MemoryRange): void {
  const page = pageBytes()
  if (!Number.isSafeInteger(at) || at % page !== 0 || at < 0)
    throw new RangeError(`${what} cannot begin at byte ${at}: give it a page's start, a multiple of ${page}`)
  if (!(lengthBytes > 0) || at + lengthBytes > memory.buffer.byteLength)
    throw new RangeError(
      `${what} needs ${lengthBytes} bytes from byte ${at} on, and the memory has ${memory.buffer.byteLength}: make it larger`,
    )
}

/** Lets a part of the memory be that of descriptor `fd` from its byte `fdOffset` on. Throws KernelError. */
export function mapOver(what: string, memory: LinearMemory, range: MemoryRange, fd: number, fdOffset: number): void {
  const flags = MAP.shared | MAP.fixed | MAP.populate
  map(what, memory, range, flags, fd, fdOffset)
}

/** Makes a part of the memory ordinary again, all zero: what was mapped there is let go of. Throws KernelError. */
export function coverOver(memory: LinearMemory, range: MemoryRange): void {
  map('covering a ring', memory, range, MAP.private | MAP.fixed | MAP.anonymous, -1, 0)
}

/** MADV_HUGEPAGE of madvise(2). */
const ADVICE_HUGE_PAGES = 14

/**
 * Asks for pages of 2 MiB where the memory has not been written yet: call it
 * before anything else. A router's tables are read all over, and with small
 * pages most look-ups have to find their page first. Whether the kernel knows
 * them; it gives as many as it can.
 */
export function useHugePages(memory: LinearMemory): boolean {
  return trySyscall('madvise', memoryAddress(memory), memory.buffer.byteLength, ADVICE_HUGE_PAGES) === 0
}

function map(what: string, memory: LinearMemory, range: MemoryRange, flags: number, fd: number, fdOffset: number) {
  const address = memoryAddress(memory) + range.at
  syscall(what, 'mmap', address, range.lengthBytes, PROTECTION.read | PROTECTION.write, flags, fd, fdOffset)
}
