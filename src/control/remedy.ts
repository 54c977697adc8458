import type { KernelError } from '../kernel/index.js'

const REMEDIES: Readonly<Record<string, string>> = {
  EPERM: 'run it as root (sudo), or give the process the capability',
  EACCES: 'run it as root (sudo), or give the process the capability',
  EBUSY: 'somebody else has it: end that process, or name another one',
  EMFILE: 'this process has too many files open: raise the limit with ulimit -n',
  ENFILE: 'this machine has too many files open: raise fs.file-max',
  ENOMEM: 'the kernel has no memory left for it: free some, or raise memory.max of the cgroup',
  ENOBUFS: 'the kernel has no memory left for it: free some, or raise memory.max of the cgroup',
  ENOSPC: 'a limit of the kernel is reached: remove namespaces or maps, or raise user.max_net_namespaces',
  ENOSYS: 'this kernel or its sandbox does not have the call: use a newer kernel, or allow it (seccomp)',
}

/** What to do about a system call that the kernel refused with this errno's name. */
export function remedyFor(code: string): string {
  return REMEDIES[code] ?? 'see what this machine can do with sluice doctor'
}

/** The sentence of an error that comes from another thread, where a KernelError is nothing but its message. */
export function remedied(message: string): string {
  const [, code] = /: (E[A-Z0-9]+)$/.exec(message) ?? []
  return code === undefined ? message : `${message}; ${remedyFor(code)}`
}

/** The sentence of a KernelError, with the remedy. */
export function withRemedy(error: KernelError): string {
  return `${error.message}; ${remedyFor(error.code)}`
}
