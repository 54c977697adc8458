import type { DeviceState } from '../engine/index.js'
import { closeNetlink, findLink, type NetworkNamespace, openRoute } from '../kernel/index.js'

/** Asks the kernel how an interface stands, until it is closed. Throws KernelError where there is no netlink. */
export function openInterfaceState(
  interfaceIndex: number,
  namespace?: NetworkNamespace,
): { read(): DeviceState; close(): void } {
  const route = openRoute(namespace)
  let isOpen = true
  return {
    read() {
      if (!isOpen) return 'closed'
      try {
        return findLink(route, interfaceIndex).isUp ? 'up' : 'down'
      } catch {
        return 'gone'
      }
    },
    close() {
      if (isOpen) closeNetlink(route)
      isOpen = false
    },
  }
}
