import { addAddress, closeNetlink, createNamespace, createVeth, findLink, openRoute, setLink } from 'sluice/kernel'

/**
 * Two namespaces that nothing but this process holds: they go with it, and with them the veth pair between them,
 * `near` with 192.0.2.1 and `far` with 192.0.2.2, each end with so many queues. Needs root.
 */
export function makePair(queues = 1) {
  const [near, far] = [createNamespace(), createNamespace()]
  const routes = [openRoute(near), openRoute(far)] as const
  createVeth(routes[0], { name: 'near', queues }, { name: 'far', queues }, far)
  for (const [route, name, address] of [
    [routes[0], 'near', '192.0.2.1/24'],
    [routes[1], 'far', '192.0.2.2/24'],
  ] as const) {
    const { index } = findLink(route, name)
    setLink(route, index, { up: true })
    addAddress(route, index, address)
    closeNetlink(route)
  }
  return { near, far }
}
