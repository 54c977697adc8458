import { openTapDevice, type TapDeviceOptions } from '../../src/device/index.js'
import {
  addAddress,
  closeNamespace,
  closeNetlink,
  createNamespace,
  openRoute,
  setLink,
  writeSysctl,
} from '../../src/kernel/index.js'
import type { EngineBench } from './engine.js'

/** A TAP device that is up in a namespace of its own, in which nothing speaks by itself; with an address where one is given. */
export function openTapEnd({ space, code, worker }: EngineBench, options: TapDeviceOptions = {}, ipv4?: string) {
  const namespace = createNamespace()
  writeSysctl(namespace, 'ipv6/conf/all/disable_ipv6', 1)
  writeSysctl(namespace, 'ipv6/conf/default/disable_ipv6', 1)
  const device = openTapDevice(space, code, worker, { ...options, namespace })
  const route = openRoute(namespace)
  if (ipv4 !== undefined) addAddress(route, device.interfaceIndex, `${ipv4}/24`)
  setLink(route, device.interfaceIndex, { up: true })
  closeNetlink(route)
  return { device, namespace, close: () => closeNamespace(namespace) }
}
