import type { NatRule } from '../../flow/index.js'
import { parseAddress } from '../../kernel/index.js'

const PROTOCOLS = { tcp: 6, udp: 17 } as const
const HIGHEST_PORT = 65_535

/** `203.0.113.1:80=192.0.2.2:8080`, `[2001:db8::1]:53/udp=[2001:db8:1::2]:53`, as a rule; null where it is none. */
export function parsePublished(text: string): NatRule | null {
  const match = /^(.+):(\d+)(?:\/(tcp|udp))?=(.+):(\d+)$/.exec(text)
  if (match === null) return null
  const [, from, matched, protocol = 'tcp', to, target] = match
  const [published, address] = [addressOf(from!), addressOf(to!)]
  const [port, own] = [Number(target), Number(matched)]
  if (published === null || address === null || published.length !== address.length) return null
  if (![port, own].every((each) => each >= 1 && each <= HIGHEST_PORT)) return null
  return {
    kind: 'destination',
    to: {
      address: published,
      length: published.length * 8,
      protocol: PROTOCOLS[protocol as keyof typeof PROTOCOLS],
      port: own,
    },
    address,
    port,
  }
}

function addressOf(text: string): Uint8Array | null {
  try {
    return parseAddress(text.replace(/^\[(.*)\]$/, '$1'))
  } catch {
    return null
  }
}
