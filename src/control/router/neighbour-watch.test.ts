import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ip } from '../../../test/support/kernel-routes.js'
import { skipUnless } from '../../../test/support/require.js'
import { createRoutedNetwork } from '../../../test/support/routed-network.js'
import { closeNetlink, findLink, listNeighbours, openRoute } from '../../kernel/index.js'
import { watchNeighbours } from './neighbour-watch.js'

test('neighbours of whom the kernel is no longer sure are asked for in turn, all of them', {
  skip: skipUnless('root', 'ip'),
}, () => {
  const network = createRoutedNetwork()
  const netlink = openRoute(network.router)
  try {
    const hosts = Array.from({ length: 40 }, (_, host) => `192.0.1.${host + 10}`)
    ip(network.router, ...hosts.map((host) => `neigh add ${host} lladdr 02:00:00:00:00:21 dev left nud stale`))
    const watch = watchNeighbours(netlink, [findLink(netlink, 'left')])
    const left = () => listNeighbours(netlink).filter(({ state }) => state === 'stale').length
    assert.equal(left(), 40)
    for (const wanted of [24, 8, 0]) {
      watch.refresh()
      assert.equal(left(), wanted)
    }
  } finally {
    closeNetlink(netlink)
    network.close()
  }
})
