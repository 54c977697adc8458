import { coverOver, type LinearMemory, type MemoryRange } from './linear-memory.js'
import { ERRNO, KernelError, numbers, outcome, rawSyscall, type SystemCall, type Word } from './syscall.js'

/**
 * Descriptors belong to the process, and stay open when a thread ends. So a
 * thread that another may end notes each that it opens here, a word each, in
 * memory that outlives it. A word of 0 or less is free: Node sees to it that
 * descriptors 0 to 2 are always open. Where nobody has asked for notes, one
 * word is written again and again.
 */
let notes: Int32Array = new Int32Array(1)
/** Of each descriptor, where it claims a queue: the device's index and the queue's number. An index of 0 is none. */
let queues: Int32Array = new Int32Array(2)
let isNoting = false

/** A descriptor that claims a queue of a device (`XskClaim`). */
export interface QueueNote {
  readonly fd: number
  readonly interfaceIndex: number
  readonly queue: number
}

/**
 * From now on this thread notes which descriptors it has open, as many as there
 * are words, and opens no more than that; and which queues they claim, two words
 * for each.
 */
export function noteDescriptors(words: Int32Array, claims: Int32Array): void {
  notes = words
  queues = claims
  isNoting = true
}

/** Notes that a descriptor claims a queue. Comes before the queue's socket is bound. */
export function noteQueue({ fd, interfaceIndex, queue }: QueueNote): void {
  const slot = notes.indexOf(fd)
  if (slot < 0) return
  queues[slot * 2 + 1] = queue
  queues[slot * 2] = interfaceIndex
}

/**
 * Ends what a thread that is no more had open: what was mapped into its part
 * of the memory is covered with zeros, because a ring that is mapped holds its
 * socket, and the descriptors are closed. Those that claim a queue stay open,
 * and are given. Throws KernelError.
 */
export function closeNoted(
  words: Int32Array,
  claims: Int32Array,
  memory: LinearMemory,
  part: MemoryRange,
): readonly QueueNote[] {
  const open = [...words].map((fd, slot) => ({ fd, interfaceIndex: claims[slot * 2]!, queue: claims[slot * 2 + 1]! }))
  const had = open.filter(({ fd }) => fd > 0)
  if (had.length === 0) return []
  coverOver(memory, part)
  for (const { fd, interfaceIndex } of had) if (interfaceIndex === 0) closeDescriptor(fd)
  words.fill(0)
  claims.fill(0)
  return had.filter(({ interfaceIndex }) => interfaceIndex !== 0)
}

/** The descriptor that a call opens. Throws KernelError: EMFILE where a thread that notes them has no word left. */
export function openDescriptor(what: string, call: SystemCall, ...args: Word[]): number {
  const fd = tryOpenDescriptor(call, ...args)
  if (fd < 0) throw new KernelError(what, -fd)
  return fd
}

/** The descriptor that a call opens, or `-errno`. */
export function tryOpenDescriptor(call: SystemCall, ...args: Word[]): number {
  const slot = isNoting ? notes.findIndex((fd) => fd <= 0) : 0
  if (slot < 0) return -ERRNO.EMFILE
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args
  // V8 ends a thread where a function of JavaScript begins or a loop goes round, so not between call and note.
  notes[slot] = rawSyscall(numbers[call], a, b, c, d, e, f)
  return outcome(notes[slot]!)
}

/** Closes a descriptor; a descriptor that is closed already is left alone. */
export function closeDescriptor(fd: number): void {
  const slot = notes.indexOf(fd)
  // In this order, with nothing between: what is noted may be closed by another thread, when the number is somebody else's.
  if (slot >= 0) queues[slot * 2] = notes[slot] = 0
  rawSyscall(numbers.close, fd, 0, 0, 0, 0, 0)
}
