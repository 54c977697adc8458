import { readdirSync } from 'node:fs'
import { addressOf, syscall } from './syscall.js'

/** Which CPUs a thread may use and before whom it runs: sched(7). Everywhere, thread 0 is the calling one. */

const SCHED_OTHER = 0
const SCHED_FIFO = 1
const PRIO_PROCESS = 0
/** The clock of a process, which a kernel thread is, as the scheduler accounts it (include/linux/posix-timers.h). */
const CPUCLOCK_SCHED = 2
/** The kernel refuses a mask that is shorter than its own; this one serves 8192 CPUs. */
const MASK_BYTES = 1024

/** `fifo` runs before everything else until it sleeps, priority 1 to 99; `other` shares, nice -20 to 19. */
export type SchedulingPolicy =
  | { readonly policy: 'fifo'; readonly priority: number }
  | { readonly policy: 'other'; readonly nice: number }

/** The CPUs that thread `tid` may run on. Throws a KernelError. */
export function getAffinity(tid: number): number[] {
  const mask = new Uint8Array(MASK_BYTES)
  syscall(`asking for the CPUs of ${nameThread(tid)}`, 'sched_getaffinity', tid, mask.length, addressOf(mask))
  return Array.from({ length: mask.length * 8 }, (_, cpu) => cpu).filter((cpu) => (mask[cpu >> 3] >> (cpu & 7)) & 1)
}

/** Lets thread `tid` run on `cpus` only. Throws a KernelError (EINVAL where none of them exists). */
export function setAffinity(tid: number, cpus: readonly number[]): void {
  const mask = new Uint8Array(MASK_BYTES)
  for (const cpu of cpus) mask[cpu >> 3] |= 1 << (cpu & 7)
  syscall(`moving ${nameThread(tid)} to CPU ${cpus.join(', ')}`, 'sched_setaffinity', tid, mask.length, addressOf(mask))
}

/**
 * Keeps every thread of this process on one CPU; what is returned lets the
 * threads that still live run where they could before.
 */
export function pinProcess(cpu: number): () => void {
  const threads = readdirSync('/proc/self/task').map(Number)
  const before = threads.map((tid) => getAffinity(tid))
  for (const tid of threads) setAffinity(tid, [cpu])
  return () => {
    const alive = new Set(readdirSync('/proc/self/task').map(Number))
    threads.forEach((tid, index) => {
      if (alive.has(tid)) setAffinity(tid, before[index])
    })
  }
}

/** What `run` returns, called on `cpus` only: children and threads that it starts stay there for life. */
export function withAffinity<T>(cpus: readonly number[], run: () => T): T {
  const before = getAffinity(0)
  setAffinity(0, cpus)
  try {
    return run()
  } finally {
    setAffinity(0, before)
  }
}

/**
 * Nanoseconds of CPU time that process or kernel thread `pid` has used, exact
 * where /proc rounds to ticks (clock_getcpuclockid(3)). Throws a KernelError.
 */
export function cpuTimeNs(pid: number): number {
  const time = new BigInt64Array(2)
  syscall(
    `asking for the CPU time of ${nameThread(pid)}`,
    'clock_gettime',
    (~pid << 3) | CPUCLOCK_SCHED,
    addressOf(time),
  )
  return Number(time[0]! * 1_000_000_000n + time[1]!)
}

/** Changes how thread `tid` is scheduled. Throws a KernelError (EPERM without CAP_SYS_NICE). */
export function setPolicy(tid: number, wanted: SchedulingPolicy): void {
  const isFifo = wanted.policy === 'fifo'
  // struct sched_param is one int.
  const parameter = new Int32Array([isFifo ? wanted.priority : 0])
  const what = `scheduling ${nameThread(tid)} as ${isFifo ? `fifo ${wanted.priority}` : `nice ${wanted.nice}`}`
  syscall(what, 'sched_setscheduler', tid, isFifo ? SCHED_FIFO : SCHED_OTHER, addressOf(parameter))
  if (!isFifo) syscall(what, 'setpriority', PRIO_PROCESS, tid, wanted.nice)
}

function nameThread(tid: number): string {
  return tid === 0 ? 'this thread' : `thread ${tid}`
}
