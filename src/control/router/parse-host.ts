import { isIP } from 'node:net'
import { parseAddress } from '../../kernel/index.js'
import { DeviceError } from '../device.js'

/** An address that an operator has written, as bytes. Throws DeviceError. */
export function parseHost(text: string): Uint8Array {
  if (isIP(text) !== 0) return parseAddress(text)
  throw new DeviceError(`"${text}" is no address; write one such as 192.0.2.7 or 2001:db8::7`)
}
