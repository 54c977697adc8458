import { constants } from 'node:os'
import koffi from 'koffi'

/**
 * The one door to the kernel: every system call of Sluice goes through here,
 * because only this room may hold raw pointers (docs/decisions).
 */

const libc = koffi.load(null)
/** The C library's; gives -1 where the kernel refused. */
export const rawSyscall = libc.func('syscall', 'long', ['long', ...Array<string>(6).fill('intptr')])

/** x86-64 and arm64 (asm-generic) numbers of the calls that libc does not wrap well. */
const NUMBERS = {
  x64: {
    bpf: 321,
    read: 0,
    write: 1,
    eventfd2: 290,
    readv: 19,
    writev: 20,
    ppoll: 271,
    mmap: 9,
    munmap: 11,
    madvise: 28,
    ioctl: 16,
    close: 3,
    socket: 41,
    sendto: 44,
    sendmmsg: 307,
    recvfrom: 45,
    bind: 49,
    setsockopt: 54,
    getsockopt: 55,
    unshare: 272,
    setns: 308,
    prctl: 157,
    fsopen: 430,
    fsconfig: 431,
    fsmount: 432,
    sched_setaffinity: 203,
    sched_getaffinity: 204,
    sched_setscheduler: 144,
    openat: 257,
    linkat: 265,
    getsockname: 51,
    uname: 63,
    setpriority: 141,
    gettid: 186,
    pidfd_send_signal: 424,
    pidfd_open: 434,
    membarrier: 324,
    clock_gettime: 228,
  },
  arm64: {
    bpf: 280,
    read: 63,
    write: 64,
    eventfd2: 19,
    readv: 65,
    writev: 66,
    ppoll: 73,
    mmap: 222,
    munmap: 215,
    madvise: 233,
    ioctl: 29,
    close: 57,
    socket: 198,
    sendto: 206,
    sendmmsg: 269,
    recvfrom: 207,
    bind: 200,
    setsockopt: 208,
    getsockopt: 209,
    unshare: 97,
    setns: 268,
    prctl: 167,
    fsopen: 430,
    fsconfig: 431,
    fsmount: 432,
    sched_setaffinity: 122,
    sched_getaffinity: 123,
    sched_setscheduler: 119,
    openat: 56,
    linkat: 37,
    getsockname: 204,
    uname: 160,
    setpriority: 140,
    gettid: 178,
    pidfd_send_signal: 424,
    pidfd_open: 434,
    membarrier: 283,
    clock_gettime: 113,
  },
} as const

export type SystemCall = keyof (typeof NUMBERS)['x64']

export const numbers: Record<SystemCall, number> = process.arch === 'arm64' ? NUMBERS.arm64 : NUMBERS.x64

/** Error numbers by name: those of the machine, one that Node leaves out, and one that drivers let out though no header has it. */
export const ERRNO = { ...constants.errno, EBADFD: 77, ENOTSUPP: 524 } as const

const ERRNO_NAMES = new Map(Object.entries(ERRNO).map(([name, errno]) => [errno as number, name]))

/** A system call that the kernel refused; `code` is the errno's name (`EPERM`). */
export class KernelError extends Error {
  override name = 'KernelError'
  readonly code: string
  readonly errno: number

  constructor(what: string, errno: number) {
    const code = errnoName(errno)
    super(`${what}: ${code}`)
    this.code = code
    this.errno = errno
  }
}

/** `EPERM` for 1; `errno 512` for a number without a name. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES.get(errno) ?? `errno ${errno}`
}

/** The call's result, or `-errno` where the kernel refused. Never throws. */
export function trySyscall(
  call: SystemCall,
  a = 0n as Word,
  b = 0 as Word,
  c = 0 as Word,
  d = 0 as Word,
  e = 0 as Word,
  f = 0 as Word,
): number {
  return outcome(rawSyscall(numbers[call], a, b, c, d, e, f))
}

/** What `rawSyscall` has just given, as a number: `-errno` where the kernel refused. */
export function outcome(raw: number | bigint): number {
  const result = Number(raw)
  return result === -1 ? -koffi.errno() : result
}

/** The call's result; throws a KernelError that begins with `what` where the kernel refused. */
export function syscall(what: string, call: SystemCall, ...args: Word[]): number {
  const result = trySyscall(call, ...args)
  if (result < 0 && result > -4096) throw new KernelError(what, -result)
  return result
}

/** A system call argument: a number, a descriptor, or an address from `addressOf`. */
export type Word = number | bigint

/**
 * Where the bytes of `memory` lie. The address holds while the caller keeps
 * `memory` alive; the kernel writes to it directly.
 */
export function addressOf(memory: ArrayBufferView): bigint {
  return koffi.address(memory) as bigint
}
