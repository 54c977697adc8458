import { divert, type Policy, pass, policy, type SetContents } from '../../policy/index.js'

/** The set of addresses that are the machine's own. */
export const OWN_ADDRESSES = 'own'

/**
 * What the driver leaves to the kernel of a port, whose Ethernet address is
 * `mac`, and what it gives to the router: packets that are to be forwarded. To
 * the kernel go all that are for the machine itself, for groups of hosts, and
 * what keeps the link alive: ARP, neighbour discovery (RFC 4861), whatever is
 * not IP.
 */
export function portPolicy(mac: string): Policy {
  return policy(
    { sets: { [OWN_ADDRESSES]: [] } },
    pass(`not ether dst ${mac}`, { name: 'not for this port' }),
    pass(`ip dst net @${OWN_ADDRESSES} or ip6 dst net @${OWN_ADDRESSES}`, { name: 'for this machine' }),
    pass('ip6 dst net fe80::/10 or ip6 src net fe80::/10', { name: 'stays on its link' }),
    divert('ip or ip6', { name: 'to be routed' }),
  )
}

/** Addresses of either family as the contents of a set: each alone. */
export function addressSet(addresses: readonly Uint8Array[]): SetContents {
  const list = (bytes: number) => {
    const own = addresses.filter(({ length }) => length === bytes)
    const words = own.flatMap((address) => {
      const view = new DataView(address.buffer, address.byteOffset, address.byteLength)
      return Array.from({ length: bytes / 4 }, (_, word) => view.getUint32(word * 4))
    })
    return { words: Uint32Array.from(words), lengths: new Uint8Array(own.length).fill(bytes * 8) }
  }
  return { v4: list(4), v6: list(16) }
}
