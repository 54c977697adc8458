import { ERRNO, errnoName } from '../kernel/index.js'

/**
 * The kernel would not take a program, a map or an attachment. The message is
 * one sentence with the remedy; `code` is the errno's name, and `log` holds
 * what the verifier wrote where it was the verifier.
 */
export class LoadError extends Error {
  override name = 'LoadError'
  readonly errno: number
  readonly code: string
  readonly log: string

  constructor(message: string, errno: number, log = '') {
    super(message)
    this.errno = errno
    this.code = errnoName(errno)
    this.log = log
  }
}

/** The sentence for a program that BPF_PROG_LOAD refused with `errno`. */
export function describeLoadFailure(name: string, errno: number, log: string): LoadError {
  const verdict = lastVerdict(log)
  if (errno === ERRNO.EPERM && verdict === null) {
    return new LoadError(
      'this process may not load programs into the kernel: run it as root (sudo), or give it CAP_BPF and CAP_NET_ADMIN',
      errno,
    )
  }
  if (errno === ERRNO.ENOSYS) {
    return new LoadError('this kernel has no bpf(2): use a kernel built with CONFIG_BPF_SYSCALL', errno)
  }
  if (isTooLarge(errno, verdict)) {
    return new LoadError(
      `the program ${name} is too large for the kernel's verifier (${verdict ?? 'more instructions than it accepts'}): split the rule into several shorter ones`,
      errno,
      log,
    )
  }
  if (errno === ERRNO.ENOMEM || errno === ERRNO.ENOSPC) {
    return new LoadError(`the kernel has no memory left for the program ${name}: remove other programs or maps`, errno)
  }
  if ((errno === ERRNO.EINVAL || errno === ERRNO.EACCES || errno === ERRNO.EPERM) && verdict !== null) {
    return new LoadError(
      `the kernel's verifier refused the program ${name} ("${verdict}"), which is a fault of Sluice: report it with the expression and the output of compile --to ebpf`,
      errno,
      log,
    )
  }
  return new LoadError(`the kernel refused the program ${name} with ${errnoName(errno)}: run sluice doctor`, errno, log)
}

/** The sentence for a policy whose rule number `position` (from 1) is the first that the verifier refuses. */
export function describePolicyFailure(position: number, name: string, refusal: LoadError): LoadError {
  const { errno, log } = refusal
  const verdict = lastVerdict(log)
  const message = isTooLarge(errno, verdict)
    ? `with rule ${position}, "${name}", the policy becomes too large for the kernel's verifier: put addresses of rules that differ only in them into a set (src net @name), or take rules out`
    : `the kernel's verifier refuses what rule ${position}, "${name}", compiles to: write its expression in another way or take it out, and report it with the output of compile --to ebpf`
  return new LoadError(message, errno, log)
}

function isTooLarge(errno: number, verdict: string | null): boolean {
  return errno === ERRNO.E2BIG || /too (many|large)|limit|too complex|cannot be patched/i.test(verdict ?? '')
}

/** The line in which the verifier says why, which stands last but for its statistics. */
function lastVerdict(log: string): string | null {
  const lines = log
    .split('\n')
    .map((line) => line.trim())
    .filter(
      (line) => line !== '' && !/^(processed \d+ insns|verification time|stack depth|mark_precise|\d+: \()/.test(line),
    )
  return lines.at(-1) ?? null
}
