import { type ChildProcess, type ForkOptions, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { closeDescriptor, tryOpenDescriptor } from './descriptors.js'
import { type NetworkNamespace, withNamespace } from './namespace.js'
import { withAffinity } from './scheduler.js'
import { syscall, trySyscall } from './syscall.js'

const PR_SET_PDEATHSIG = 1
const SIGKILL = 9

/** The environment variable that every lab process carries: whose it is, as `PID:START-TIME`. */
export const OWNER_VARIABLE = 'SLUICE_LAB'

/** A process that cannot be confused with a later one of the same pid. */
export interface ProcessIdentity {
  readonly pid: number
  /** In clock ticks after boot: field 22 of /proc/PID/stat, proc(5). */
  readonly startTime: string
}

/** Options of a child in a namespace: those of fork, and the CPUs it may use. */
export interface NamespaceChildOptions extends Omit<ForkOptions, 'cwd' | 'detached' | 'execPath'> {
  readonly cpus?: readonly number[]
}

/**
 * Starts a Node module inside `namespace`, null for the thread's own, with an IPC channel, as a child that
 * dies when this process does, also when that is killed. Call it on the main
 * thread: the kernel takes the end of the thread that forked as the parent's.
 */
export function spawnInNamespace(
  namespace: NetworkNamespace | null,
  modulePath: string | URL,
  args: readonly string[] = [],
  options: NamespaceChildOptions = {},
): ChildProcess {
  const { cpus, env, execArgv = [], ...rest } = options
  const preload = new URL('./process-preload.js', import.meta.url).href
  const start = () =>
    fork(typeof modulePath === 'string' ? modulePath : fileURLToPath(modulePath), args, {
      ...rest,
      execArgv: ['--import', preload, ...execArgv],
      env: { ...process.env, ...env, [OWNER_VARIABLE]: formatOwner(identify(process.pid)!) },
    })
  // Pinned before the fork, so that the child's every thread is born there.
  const startPinned = () => (cpus ? withAffinity(cpus, start) : start())
  return namespace === null ? startPinned() : withNamespace(namespace, startPinned)
}

/**
 * Asks the kernel to kill this process when its parent ends, and ends it now
 * where the owner named in its environment is gone already: it may have died
 * between the fork and this call (prctl(2), PR_SET_PDEATHSIG).
 */
export function dieWithParent(): void {
  syscall('tying this process to its parent', 'prctl', PR_SET_PDEATHSIG, SIGKILL)
  const owner = parseOwner(process.env[OWNER_VARIABLE] ?? '')
  if (owner && !isAlive(owner)) process.exit(1)
}

/** The identity of process `pid`, or undefined where there is none or only its zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The second field, the name in parentheses, may hold spaces and parentheses itself.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return state === 'Z' || state === 'X' ? undefined : { pid, startTime: fields[18] }
}

/** Whether that very process still runs. */
export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTime === process.startTime
}

/** The owner in `PID:START-TIME`; undefined for any other text. */
export function parseOwner(text: string): ProcessIdentity | undefined {
  const match = /^(\d+):(\d+)$/.exec(text)
  return match ? { pid: Number(match[1]), startTime: match[2] } : undefined
}

/** The reverse of parseOwner. */
export function formatOwner(owner: ProcessIdentity): string {
  return `${owner.pid}:${owner.startTime}`
}

/**
 * Kills process `pid` if `isTheOne` says so while the kernel holds its identity
 * (pidfd_open(2)), so that a pid taken by another in between is never hit.
 * Returns whether it was killed.
 */
export function killIf(pid: number, isTheOne: () => boolean): boolean {
  const fd = tryOpenDescriptor('pidfd_open', pid)
  if (fd < 0) return false
  try {
    return isTheOne() && trySyscall('pidfd_send_signal', fd, SIGKILL) === 0
  } finally {
    closeDescriptor(fd)
  }
}
