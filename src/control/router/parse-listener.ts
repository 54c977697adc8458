import { DeviceError } from '../device.js'
import { hookAction, hookPoint, type ListenerRequest } from './listeners.js'

/** `HOOK[:DEVICE] ACTION[:DEVICE] [EXPRESSION]`; at forward `:FROM`, `:FROM/TO` or `:/TO`. */
const WORDS = /^\s*([^\s:]+)(?::(\S*))?\s+([^\s:]+)(?::(\S*))?(?:\s+(.*))?$/s

/**
 * A listener at a hook as an operator writes it: `forward drop tcp dst port 25`,
 * `prerouting:eth0 count udp`, `postrouting:eth1 mirror:mon0`. Throws
 * DeviceError; the expression has not been looked at.
 */
export function parseListener(text: string): ListenerRequest {
  const words = WORDS.exec(text)
  if (words === null)
    throw new DeviceError(
      `"${text}" is no listener at a hook; write one such as "forward drop tcp dst port 25" or "prerouting:eth0 count udp"`,
    )
  const at = hookPoint(words[1]!)
  const action = hookAction(words[3]!)
  const match = words[5]?.trim() ?? ''
  // Without a device behind the colon a mirror has none, which is said where all listeners are looked at.
  const copyTo = words[4] || undefined
  return {
    at,
    action,
    match,
    ...placesOf(at, words[2]),
    ...(copyTo !== undefined && { copyTo }),
  }
}

function placesOf(at: ListenerRequest['at'], devices: string | undefined): Pick<ListenerRequest, 'from' | 'to'> {
  if (devices === undefined) return {}
  if (at !== 'forward') {
    if (devices === '') throw new DeviceError(`"${at}:" names no device; write one behind the colon, or leave it out`)
    return at === 'postrouting' ? { to: devices } : { from: devices }
  }
  const [from = '', to = '', ...more] = devices.split('/')
  if ((from === '' && to === '') || more.length > 0)
    throw new DeviceError(
      `"forward:${devices}" is no way between two devices; write forward:FROM/TO, forward:FROM or forward:/TO`,
    )
  return { ...(from !== '' && { from }), ...(to !== '' && { to }) }
}
