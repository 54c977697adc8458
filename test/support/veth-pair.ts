import {
  addAddress,
  addNeighbour,
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  findLink,
  type NetworkNamespace,
  openRoute,
  setLink,
  writeSysctl,
} from '../../src/kernel/index.js'

/** One end of a veth pair, alone in a namespace, which nothing outside this process holds. */
export interface PairEnd {
  readonly namespace: NetworkNamespace
  readonly name: string
  readonly index: number
  readonly mac: string
  readonly ipv4: string
}

export interface VethPair {
  readonly near: PairEnd
  readonly far: PairEnd
  close(): void
}

/** Two namespaces with a veth between them: up, without IPv6, and each knows the other's MAC address. */
export function createVethPair(queues = 1): VethPair {
  const [near, far] = [
    { name: 'near', mac: '02:00:00:00:00:0a', ipv4: '192.0.2.1' },
    { name: 'far', mac: '02:00:00:00:00:0b', ipv4: '192.0.2.2' },
  ].map((end) => {
    const namespace = createNamespace()
    return { ...end, queues, namespace, route: openRoute(namespace) }
  })
  createVeth(near!.route, near!, far!, far!.namespace)
  const ends = [
    [near!, far!],
    [far!, near!],
  ].map(([end, other]) => {
    const { namespace, route, name, mac, ipv4 } = end!
    writeSysctl(namespace, 'ipv6/conf/all/disable_ipv6', 1)
    const { index } = findLink(route, name)
    addAddress(route, index, `${ipv4}/24`)
    setLink(route, index, { up: true })
    addNeighbour(route, index, other!.ipv4, other!.mac)
    closeNetlink(route)
    return { namespace, name, index, mac, ipv4 }
  })
  return {
    near: ends[0]!,
    far: ends[1]!,
    close() {
      for (const { namespace } of ends) closeNamespace(namespace)
    },
  }
}
