import type { Link } from '../kernel/index.js'
import { alreadyAttached } from '../loader/index.js'
import { DeviceError } from './device.js'

/** Throws DeviceError where what passes at the device is no Ethernet, as in a tunnel. */
export function checkEthernet({ name, mac }: Link): void {
  if (mac === '') throw new DeviceError(`${name} carries no Ethernet frames; name a device that does (see "ip link")`)
}

/**
 * Throws where the packets of a device cannot be taken: DeviceError, or LoadError where somebody takes them already.
 * Before sockets are opened, whose refusal would say less.
 */
export function checkTakeable(link: Link): void {
  checkEthernet(link)
  if (link.xdp.mode !== 'none') throw alreadyAttached(link.name)
}
