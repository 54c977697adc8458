import {
  addAddress,
  addRoute,
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  findLink,
  type NetworkNamespace,
  openRoute,
  setFeatures,
  setLink,
  writeSysctl,
} from '../../src/kernel/index.js'

/**
 * Hosts and a router between them, each a namespace of its own: device `left`
 * of the router leads to 192.0.1.0/24 and 2001:db8:1::/64, `right` to
 * 192.0.2.0/24 and 2001:db8:2::/64, and so on where there are more. The router
 * is `.1` and `::1`, the hosts, which have one device `eth0`, `.2` and `::2`.
 */
export interface RoutedNetwork {
  readonly router: NetworkNamespace
  readonly left: NetworkNamespace
  readonly right: NetworkNamespace
  /** These two, and those behind further devices. */
  readonly hosts: readonly NetworkNamespace[]
  close(): void
}

/** Of the hosts, in the order left, right. */
export const HOSTS = ['192.0.1.2', '192.0.2.2'] as const
export const HOSTS6 = ['2001:db8:1::2', '2001:db8:2::2'] as const

/** `others` are the router's devices beside `left` and `right`; all have so many queues. */
export function createRoutedNetwork({
  others = [],
  queues = 1,
}: {
  readonly others?: readonly string[]
  readonly queues?: number
} = {}): RoutedNetwork {
  const router = createPrompt()
  const middle = openRoute(router)
  const hosts = ['left', 'right', ...others].map((name, before) => {
    const [host, network] = [createPrompt(), before + 1]
    const far = openRoute(host)
    createVeth(
      middle,
      { name, mac: `02:00:00:00:00:1${network}`, queues },
      { name: 'eth0', mac: `02:00:00:00:00:2${network}`, queues },
      host,
    )
    for (const [route, end] of [
      [middle, name],
      [far, 'eth0'],
    ] as const) {
      setLink(route, findLink(route, end).index, { up: true })
    }
    // A veth leaves checksums to whoever receives, and a program at its other end meets them unfinished.
    setFeatures('eth0', { 'tx-checksum-ip-generic': false }, host)
    const [near, own] = [findLink(middle, name).index, findLink(far, 'eth0').index]
    addAddress(middle, near, `192.0.${network}.1/24`)
    addAddress(middle, near, `2001:db8:${network}::1/64`)
    addAddress(far, own, `192.0.${network}.2/24`)
    addAddress(far, own, `2001:db8:${network}::2/64`)
    addRoute(far, 'default', `192.0.${network}.1`)
    addRoute(far, 'default', `2001:db8:${network}::1`)
    closeNetlink(far)
    return host
  })
  closeNetlink(middle)
  return {
    router,
    left: hosts[0]!,
    right: hosts[1]!,
    hosts,
    close() {
      for (const namespace of [router, ...hosts]) closeNamespace(namespace)
    },
  }
}

/** A namespace whose IPv6 addresses hold at once: nobody else can have them (RFC 4862, 5.4, takes more than a second). */
function createPrompt(): NetworkNamespace {
  const namespace = createNamespace()
  for (const scope of ['all', 'default']) writeSysctl(namespace, `ipv6/conf/${scope}/accept_dad`, 0)
  return namespace
}
