import { findLink, KernelError, type Link, listLinks, type NetlinkSocket } from '../kernel/index.js'

/** There is no device of that name: one sentence with those that there are. */
export class DeviceError extends Error {
  override name = 'DeviceError'
}

/** The device called `name` in the namespace of `route`. Throws DeviceError. */
export function findDevice(route: NetlinkSocket, name: string): Link {
  try {
    return findLink(route, name)
  } catch (error) {
    if (!(error instanceof RangeError) && !(error instanceof KernelError && error.code === 'ENODEV')) throw error
    const names = listLinks(route).map((link) => link.name)
    throw new DeviceError(`there is no network device "${name}"; choose one of: ${names.join(', ')}`)
  }
}
