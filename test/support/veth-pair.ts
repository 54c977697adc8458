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
  const pair = [
    { name: 'near', mac: '02:00:00:00:00:0a', ipv4: '192.0.2.1', queues, namespace: createNamespace() },
    { name: 'far', mac: '02:00:00:00:00:0b', ipv4: '192.0.2.2', queues, namespace: createNamespace() },
  ] as const
  return connect(pair, () => {
    for (const { namespace } of pair) closeNamespace(namespace)
  })
}

/** Another veth, `out`, in the namespace of `end`, to a third namespace, where it is `third`. */
export function addVethPair({ namespace }: PairEnd): VethPair {
  const third = createNamespace()
  const pair = [
    { name: 'out', mac: '02:00:00:00:00:0c', ipv4: '198.51.100.1', queues: 1, namespace },
    { name: 'third', mac: '02:00:00:00:00:0d', ipv4: '198.51.100.2', queues: 1, namespace: third },
  ] as const
  return connect(pair, () => closeNamespace(third))
}

type EndPlan = Omit<PairEnd, 'index'> & { readonly queues: number }

function connect(plans: readonly [EndPlan, EndPlan], close: () => void): VethPair {
  const [near, far] = plans.map((plan) => ({ ...plan, route: openRoute(plan.namespace) }))
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
    close,
  }
}
