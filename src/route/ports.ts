import { isDeepStrictEqual } from 'node:util'
import type { Space } from '../memory/index.js'
import {
  PLAIN_IPV4,
  PORT_BYTES,
  PORT_FORWARDS,
  PORT_INTERFACE,
  PORT_MAC,
  PORT_MOST_V4,
  PORT_MOST_V6,
  PORT_MTU,
  PORT_REVERSE_LOOSE,
  PORT_REVERSE_STRICT,
  PORT_SETTINGS,
  PORT_TYPES,
  PORT_V4,
  PORT_V4_COUNT,
  PORT_V6,
  PORT_V6_COUNT,
} from './formats.js'

/** A device of the router. */
export interface Port {
  /** Its Ethernet address: packets to another one are not for this router. */
  readonly mac: Uint8Array
  readonly mtu: number
  /** Addresses that ICMP errors may come from, 8 and 4 at most. They are no routes: those are of kind `local`. */
  readonly v4?: readonly Uint8Array[]
  readonly v6?: readonly Uint8Array[]
  /** Of the kernel's, where it has one. */
  readonly interfaceIndex?: number
  /**
   * Whether the source of a packet must have a route through the port that it
   * came by (`strict`), or through any (`loose`; RFC 3704); `off` where it is not said.
   */
  readonly reversePath?: 'off' | 'loose' | 'strict'
  /** Whether what comes in here may be forwarded, and not only be for the router itself; true where it is not said. */
  readonly forwarding?: boolean
}

/** The ports as the writer's thread sees them, by number. */
export interface Ports {
  has(port: number): boolean
  /** Throws RangeError where there is none. */
  read(port: number): Port
  /** Whether that is a change. Throws RangeError where there is no such number, or too many addresses. */
  set(port: number, value: Port): boolean
}

const REVERSE_PATH = { off: 0, loose: PORT_REVERSE_LOOSE, strict: PORT_REVERSE_STRICT } as const

/** `count` ports from `address` on. */
export function openPorts({ bytes, words }: Space, address: number, count: number): Ports {
  const known = new Map<number, Port>()
  return {
    has: (port) => known.has(port),
    read(port) {
      const found = known.get(port)
      if (found === undefined) throw new RangeError(`there is no port ${port}; set it first`)
      return found
    },
    set(port, value) {
      const { mac, mtu, v4 = [], v6 = [], interfaceIndex = 0, reversePath = 'off', forwarding = true } = value
      if (!(port >= 0 && port < count)) throw new RangeError(`the tables have ports 0 to ${count - 1}, not ${port}`)
      if (mac.length !== 6) throw new RangeError('an Ethernet address has 6 bytes')
      if (v4.length > PORT_MOST_V4 || v6.length > PORT_MOST_V6)
        throw new RangeError(`a port has ${PORT_MOST_V4} IPv4 and ${PORT_MOST_V6} IPv6 addresses at most`)
      const before = known.get(port)
      if (before !== undefined && isDeepStrictEqual(before, value)) return false
      const line = address + port * PORT_BYTES
      const write = (field: number, word: number) => {
        words[(line + field) / 4] = word
      }
      bytes.set(mac, line + PORT_MAC)
      v4.forEach((each, index) => {
        bytes.set(each, line + PORT_V4 + index * 4)
      })
      v6.forEach((each, index) => {
        bytes.set(each, line + PORT_V6 + index * 16)
      })
      write(PORT_V4_COUNT, v4.length)
      write(PORT_V6_COUNT, v6.length)
      write(PORT_TYPES, PLAIN_IPV4)
      write(PORT_INTERFACE, interfaceIndex)
      write(PORT_MTU, mtu)
      write(PORT_SETTINGS, REVERSE_PATH[reversePath] | (forwarding ? PORT_FORWARDS : 0))
      known.set(port, value)
      return true
    },
  }
}
