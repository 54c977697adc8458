import { readFileSync, writeFileSync } from 'node:fs'
import { closeDescriptor, openDescriptor } from './descriptors.js'
import { type NetworkNamespace, withNamespace } from './namespace.js'
import { addressOf, KernelError, syscall } from './syscall.js'

/**
 * The attributes of /sys/class/net inside a network namespace. /sys itself shows
 * the namespace it was mounted in and does not follow setns; so a sysfs of the
 * namespace's own is mounted nowhere (fsmount(2)) and reached by descriptor.
 */

const FSOPEN_CLOEXEC = 1
const FSMOUNT_CLOEXEC = 1
const FSCONFIG_CMD_CREATE = 6

/** The text of class/net/DEVICE/ATTRIBUTE. Throws a KernelError. */
export function readDeviceAttribute(namespace: NetworkNamespace, device: string, attribute: string): string {
  return withSysfs(namespace, (root) => {
    const path = `${root}/class/net/${device}/${attribute}`
    return attempt(`reading ${attribute} of ${device}`, () => readFileSync(path, 'utf8').trim())
  })
}

/** Writes class/net/DEVICE/ATTRIBUTE. Throws a KernelError, also where sysfs cannot be mounted. */
export function writeDeviceAttribute(
  namespace: NetworkNamespace,
  device: string,
  attribute: string,
  value: number | string,
): void {
  withSysfs(namespace, (root) => {
    const path = `${root}/class/net/${device}/${attribute}`
    attempt(`setting ${attribute} of ${device} to ${value}`, () => writeFileSync(path, `${value}`))
  })
}

function withSysfs<T>(namespace: NetworkNamespace, run: (root: string) => T): T {
  const mount = withNamespace(namespace, mountSysfs)
  try {
    return run(`/proc/self/fd/${mount}`)
  } finally {
    closeDescriptor(mount)
  }
}

/** The mount shows the namespace that the thread is in at fsopen, and ends with its descriptor. */
function mountSysfs(): number {
  const what = 'mounting the sysfs of a network namespace'
  const name = new TextEncoder().encode('sysfs\0')
  const context = openDescriptor(what, 'fsopen', addressOf(name), FSOPEN_CLOEXEC)
  try {
    syscall(what, 'fsconfig', context, FSCONFIG_CMD_CREATE)
    return openDescriptor(what, 'fsmount', context, FSMOUNT_CLOEXEC)
  } finally {
    closeDescriptor(context)
  }
}

function attempt<T>(what: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw new KernelError(what, -((error as NodeJS.ErrnoException).errno ?? 0))
  }
}
