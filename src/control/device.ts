import {
  closeNetlink,
  findLink,
  KernelError,
  type Link,
  listLinks,
  type NetlinkSocket,
  openRoute,
} from '../kernel/index.js'

/** There is no device of that name: one sentence with those that there are. */
export class DeviceError extends Error {
  override name = 'DeviceError'
}

/** A device has been removed while it was at work, or its program taken off: one sentence. Nobody's input was wrong. */
export class LostDeviceError extends Error {
  override name = 'LostDeviceError'
}

/** What to say where another process has taken the program of a device off. */
export function programGone(device: string): string {
  return `somebody has taken the program off ${device}, and its packets go to the kernel; start again where it is needed`
}

/** The device called `name` in this thread's network namespace. Throws DeviceError. */
export function findDevice(name: string): Link {
  const route = openRoute()
  try {
    return findDeviceIn(route, name)
  } finally {
    closeNetlink(route)
  }
}

/** The device called `name` in the socket's namespace. Throws DeviceError. */
export function findDeviceIn(route: NetlinkSocket, name: string): Link {
  try {
    return findLink(route, name)
  } catch (error) {
    // A RangeError says that no device can have such a name.
    if (!(error instanceof RangeError) && !(error instanceof KernelError && error.code === 'ENODEV')) throw error
    const names = listLinks(route).map((link) => link.name)
    throw new DeviceError(`there is no network device "${name}"; choose one of: ${names.join(', ')}`)
  }
}

/** What the operator should know of a device that is down: a sentence, or none. */
export function downNotes({ name, isUp }: Link): readonly string[] {
  return isUp ? [] : [`${name} is down, and no packets pass there until it is up: ip link set ${name} up`]
}

/** Throws DeviceError unless these are two devices or more, each named once. */
export function checkRouterDevices(devices: readonly string[]): void {
  if (devices.length < 2)
    throw new DeviceError(
      `a router has two devices or more; name ${devices.length === 0 ? 'them' : `another one beside ${devices}`}`,
    )
  const twice = devices.find((name, index) => devices.indexOf(name) !== index)
  if (twice !== undefined) throw new DeviceError(`${twice} is named twice; name each device of the router once`)
}
