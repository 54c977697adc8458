import { closeSync, openSync, stat, writeFileSync } from 'node:fs'
import { closeDescriptor, KernelError, syscall, trySyscall } from './syscall.js'

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
