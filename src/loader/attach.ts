import {
  closeBpf,
  ERRNO,
  isNotSupported,
  linkedDevice,
  tryCreateTcxLink,
  tryCreateXdpLink,
  updateLink,
} from '../kernel/index.js'
import { LoadError } from './errors.js'
import type { LoadedProgram } from './load.js'

/** Where an XDP program runs: in the driver, or later, on socket buffers. */
export type XdpMode = 'native' | 'generic'

/** A program attached to a device. `close` detaches; a dead process detaches too. */
export interface XdpLink {
  readonly mode: XdpMode
  /** Swaps the program without a packet in between that meets none. */
  replace(program: LoadedProgram): void
  /** False once the device has gone, or another process has detached the link. */
  isAttached(): boolean
  close(): void
}

/** Puts a program at a device: in its driver, as `attachXdp` does, or behind another one. */
export type Attach = (
  program: LoadedProgram,
  device: { readonly name: string; readonly index: number },
  mode?: XdpMode,
) => XdpLink

/** What generic mode costs, for the operator: the figures are in the lab's results. */
export const GENERIC_WARNING =
  'runs in generic mode: the kernel allocates a socket buffer for each packet before the rule sees it, so a flood costs about four times as much as in the driver'

/**
 * Attaches to a device of the calling thread's network namespace. Without a
 * `mode`, native is tried first and generic taken where the driver has no
 * native XDP; the link says which it became. Throws LoadError.
 */
export function attachXdp(program: LoadedProgram, device: { name: string; index: number }, mode?: XdpMode): XdpLink {
  const native = mode === 'generic' ? null : tryCreateXdpLink(program.fd, device.index, 'native')
  if (native !== null && native >= 0) return makeLink(native, 'native')
  if (native !== null && (mode === 'native' || !isNotSupported(-native))) throw describe(device.name, -native)
  const generic = tryCreateXdpLink(program.fd, device.index, 'generic')
  if (generic < 0) throw describe(device.name, -generic)
  return makeLink(generic, 'generic')
}

/**
 * Attaches a `tcx` program, which meets what the device's XDP program has
 * passed, before the network stack does. Needs Linux 6.6. Throws LoadError.
 */
export function attachTcx(program: LoadedProgram, device: { name: string; index: number }): { close(): void } {
  const fd = tryCreateTcxLink(program.fd, device.index)
  if (fd < 0) {
    throw new LoadError(`${device.name} takes no program behind its XDP program: that needs root and Linux 6.6`, -fd)
  }
  return makeLink(fd, 'generic')
}

function makeLink(fd: number, mode: XdpMode): XdpLink {
  let open = true
  return {
    mode,
    replace: (program) => updateLink(fd, program.fd),
    isAttached: () => open && linkedDevice(fd) !== 0,
    close() {
      if (open) closeBpf(fd)
      open = false
    },
  }
}

/**
 * How to take an XDP program of somebody else off a device, as part of a
 * sentence: one that is held by a link (bpf_link) stays until its link is detached.
 */
export function detachAdvice(device: string): string {
  return `take it off with "ip link set ${device} xdp off", and where that is refused find it in "bpftool link show" and run "bpftool link detach id N"`
}

/** One program a device, and it has one: what to do. */
export function alreadyAttached(device: string, errno: number = ERRNO.EBUSY): LoadError {
  return new LoadError(`${device} already has an XDP program: end what owns it, or ${detachAdvice(device)}`, errno)
}

function describe(device: string, errno: number): LoadError {
  if (isNotSupported(errno)) {
    return new LoadError(`the driver of ${device} has no native XDP: use generic mode (--generic)`, errno)
  }
  switch (errno) {
    case ERRNO.EPERM:
      return new LoadError(
        `this process may not attach a program to ${device}: run it as root (sudo), or give it CAP_BPF and CAP_NET_ADMIN`,
        errno,
      )
    case ERRNO.EBUSY:
    // One is attached in the other mode.
    case ERRNO.EEXIST:
      return alreadyAttached(device, errno)
    case ERRNO.ENODEV:
      return new LoadError(`there is no device ${device} any more: see "ip link"`, errno)
    case ERRNO.ERANGE:
    case ERRNO.EINVAL:
      return new LoadError(
        `the driver of ${device} refused the program, most often because of the MTU, of LRO or of too many channels: lower the MTU, or run "ethtool -K ${device} lro off"`,
        errno,
      )
    default:
      return new LoadError(`${device} did not take the program: run sluice doctor ${device}`, errno)
  }
}
