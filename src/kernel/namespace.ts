import { closeSync, fstatSync, openSync, readFileSync, stat, statSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { closeDescriptor } from './descriptors.js'
import { KernelError, syscall, trySyscall } from './syscall.js'

/** CLONE_NEWNET of linux/sched.h: for unshare, and as the type that setns checks. */
const CLONE_NEWNET = 0x40000000

/** The calling thread's, not the process's: each thread of Node has a namespace of its own. */
const OWN_NAMESPACE = '/proc/thread-self/ns/net'

/**
 * A network namespace that no name keeps alive, only `fd`: when the process
 * ends, in whatever way, the kernel removes it with every device in it
 * (network_namespaces(7)). `path` is for other programs, while this one lives:
 * `nsenter --net=PATH`.
 */
export interface NetworkNamespace {
  readonly fd: number
  readonly path: string
}

/** A new, empty network namespace. Throws a KernelError without CAP_SYS_ADMIN. */
export function createNamespace(): NetworkNamespace {
  startThreadPool()
  const own = openSync(OWN_NAMESPACE, 'r')
  try {
    syscall('creating a network namespace (needs root or CAP_SYS_ADMIN)', 'unshare', CLONE_NEWNET)
    try {
      const fd = openSync(OWN_NAMESPACE, 'r')
      return { fd, path: `/proc/${process.pid}/fd/${fd}` }
    } finally {
      enter(own)
    }
  } finally {
    closeSync(own)
  }
}

/** The namespace that stands at `path`, such as `/run/netns/lab` or `/proc/PID/ns/net`. Throws a KernelError. */
export function openNamespace(path: string): NetworkNamespace {
  try {
    return { fd: openSync(path, 'r'), path }
  } catch (error) {
    throw new KernelError(`opening the network namespace ${path}`, -((error as NodeJS.ErrnoException).errno ?? 0))
  }
}

/** The namespace that process 1 is in: of the machine, or of the container that this runs in. */
const FIRST_PROCESS = '/proc/1/ns/net'
/** Inode of the machine's initial namespace since Linux 6.18 (NET_NS_INIT_INO, linux/nsfs.h); no other ever has it. */
const INITIAL_INODE = 0xeffffff9
const INITIAL_INODE_SINCE = [6, 18] as const

/** The initial namespace; null where nobody may have it. */
export function openInitialNamespace(): NetworkNamespace | null {
  try {
    return { fd: openSync(FIRST_PROCESS, 'r'), path: FIRST_PROCESS }
  } catch {
    return statSync(OWN_NAMESPACE).ino === INITIAL_INODE ? openNamespace(OWN_NAMESPACE) : null
  }
}

/**
 * Whether `namespace`, by default the thread's own, is the initial one: the
 * machine's, or that of process 1. Where nobody can tell, it is taken to be.
 */
export function isInitialNamespace(namespace?: NetworkNamespace): boolean {
  const { dev, ino } = namespace === undefined ? statSync(OWN_NAMESPACE) : fstatSync(namespace.fd)
  if (ino === INITIAL_INODE) return true
  try {
    const initial = statSync(FIRST_PROCESS)
    return dev === initial.dev && ino === initial.ino
  } catch {
    // Process 1 may belong to somebody else; then the inode has to tell, where the kernel is new enough.
    const [major = 0, minor = 0] = release().split('.').map(Number)
    const [wantedMajor, wantedMinor] = INITIAL_INODE_SINCE
    return major < wantedMajor || (major === wantedMajor && minor < wantedMinor)
  }
}

/**
 * What `run` returns when it is called with the current thread in `namespace`.
 * Sockets it opens and children it starts stay there. It must be synchronous,
 * because everything else on this thread would run in the namespace as well;
 * throws a TypeError when it gives back a promise.
 */
export function withNamespace<T>(namespace: NetworkNamespace, run: () => T): T {
  startThreadPool()
  const own = openSync(OWN_NAMESPACE, 'r')
  try {
    enter(namespace.fd)
    let result: T
    try {
      result = run()
    } finally {
      enter(own)
    }
    if (result instanceof Promise) {
      throw new TypeError(
        'withNamespace was given an asynchronous function; its later part would run outside: use a child',
      )
    }
    return result
  } finally {
    closeSync(own)
  }
}

/** Lets go of the namespace; it lives on while a socket or a process is in it. */
export function closeNamespace(namespace: NetworkNamespace): void {
  closeDescriptor(namespace.fd)
}

/**
 * Writes a network setting inside `namespace`; `path` is below /proc/sys/net
 * (`ipv4/ip_forward`). Throws a KernelError where it is missing or read-only.
 */
export function writeSysctl(namespace: NetworkNamespace, path: string, value: number | string): void {
  withNamespace(namespace, () => {
    try {
      writeFileSync(`/proc/sys/net/${path}`, `${value}`)
    } catch (error) {
      const { errno } = error as NodeJS.ErrnoException
      throw new KernelError(`writing ${value} to /proc/sys/net/${path}`, -(errno ?? 0))
    }
  })
}

/** The number in net/PATH under /proc/sys of a namespace. Throws a KernelError where it is missing. */
export function readSysctl(namespace: NetworkNamespace | undefined, path: string): number {
  const read = () => {
    try {
      return Number(readFileSync(`/proc/sys/net/${path}`, 'utf8'))
    } catch (error) {
      throw new KernelError(`reading /proc/sys/net/${path}`, -((error as NodeJS.ErrnoException).errno ?? 0))
    }
  }
  return namespace ? withNamespace(namespace, read) : read()
}

function enter(fd: number): void {
  const result = trySyscall('setns', fd, CLONE_NEWNET)
  if (result < 0) throw new KernelError('entering a network namespace (needs root or CAP_SYS_ADMIN)', -result)
}

let isThreadPoolStarted = false

/**
 * libuv starts its pool threads at the first asynchronous file operation, and
 * a thread keeps the namespace it was born in. So they are born here, before
 * this thread ever leaves home: one born elsewhere would work in the wrong
 * namespace and hold it open.
 */
function startThreadPool(): void {
  if (isThreadPoolStarted) return
  isThreadPoolStarted = true
  stat('/', () => {})
}
