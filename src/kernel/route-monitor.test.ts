import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { eventually } from '../../test/support/eventually.js'
import { skipUnless } from '../../test/support/require.js'
import { formatAddress } from '../control/traffic-range.js'
import { closeNamespace, createNamespace, type NetworkNamespace, withNamespace } from './namespace.js'
import { closeNetlink, type NetlinkSocket } from './netlink.js'
import type { KernelRoute, RouteChange } from './route-message.js'
import {
  listAddresses,
  listNeighbours,
  listRoutes,
  openRouteMonitor,
  type RouteMonitor,
  useNeighbour,
} from './route-monitor.js'
import { createVeth, findLink, openRoute, setLink } from './rtnetlink.js'

describe('the kernel’s routes, as ip shows them', { skip: skipUnless('root', 'ip') }, () => {
  let [left, right]: NetworkNamespace[] = []
  let [leftRoute, rightRoute]: NetlinkSocket[] = []
  let monitor: RouteMonitor

  const ip = (...args: string[]) => withNamespace(left!, () => execFileSync('ip', args, { encoding: 'utf8' }))
  const routes = () => listRoutes(leftRoute!).filter(({ table }) => table === 254)
  const taken = (): readonly RouteChange[] => monitor.take(10_000)!

  before(async () => {
    left = createNamespace()
    right = createNamespace()
    leftRoute = openRoute(left)
    rightRoute = openRoute(right)
    createVeth(leftRoute, { name: 'left' }, { name: 'right', mac: '02:00:00:00:00:0b' }, right)
    for (const [route, name] of [
      [leftRoute, 'left'],
      [rightRoute, 'right'],
    ] as const) {
      setLink(route, findLink(route, name).index, { up: true })
    }
    ip('addr', 'add', '192.0.2.1/24', 'dev', 'left')
    ip('addr', 'add', '2001:db8::1/64', 'dev', 'left', 'nodad')
    // The route of its link-local address comes when the kernel has seen that both ends are up.
    await eventually('the kernel’s own route', () => routes().some((route) => prefixOf(route) === 'fe80::/64'))
    monitor = openRouteMonitor(left)
  })

  after(() => {
    monitor.close()
    for (const route of [leftRoute, rightRoute]) closeNetlink(route!)
    for (const namespace of [left, right]) closeNamespace(namespace!)
  })

  test('every route of the main tables, with gateways, metrics, types and ways', () => {
    ip('route', 'add', '198.51.100.0/25', 'via', '192.0.2.9', 'metric', '7', 'mtu', '1400')
    ip('route', 'add', '203.0.113.0/24', 'nexthop', 'via', '192.0.2.7', 'weight', '3', 'nexthop', 'via', '192.0.2.8')
    ip('route', 'add', 'blackhole', '10.1.0.0/16')
    ip('route', 'add', 'default', 'via', 'inet6', '2001:db8::9')
    ip('-6', 'route', 'add', '2001:db8:1::/48', 'nexthop', 'via', '2001:db8::7', 'nexthop', 'via', '2001:db8::8')
    ip('-6', 'route', 'add', 'unreachable', '2001:db8:2::/48')
    for (const family of ['-4', '-6']) {
      // biome-ignore lint/suspicious/noExplicitAny: iproute2's JSON has no types
      const shown = JSON.parse(ip(family, '-json', 'route', 'show', 'table', 'main')).map((route: any) => ({
        to: route.dst,
        type: route.type ?? 'unicast',
        metric: route.metric ?? 0,
        via: (route.nexthops ?? [route])
          // biome-ignore lint/suspicious/noExplicitAny: as above
          .map((hop: any) => [hop.gateway ?? hop.via?.host ?? null, hop.weight ?? 1]),
      }))
      const bytes = family === '-4' ? 4 : 16
      assert.deepEqual(
        routes()
          .filter(({ destination }) => destination.length === bytes)
          .map((route) => ({
            to: prefixOf(route),
            type: route.type,
            metric: route.metric,
            via: route.hops.map(({ gateway, weight }) => [gateway && formatAddress(gateway), weight]),
          })),
        shown,
      )
    }
    assert.equal(routes().find((route) => prefixOf(route) === '198.51.100.0/25')?.mtuBytes, 1400)
  })

  test('changes come in their order, with what was replaced and what has gone', () => {
    taken()
    ip('route', 'add', '10.2.0.0/16', 'via', '192.0.2.9')
    ip('route', 'replace', '10.2.0.0/16', 'via', '192.0.2.8')
    ip('route', 'append', '10.2.0.0/16', 'via', '192.0.2.7')
    ip('route', 'del', '10.2.0.0/16')
    const seen = taken().flatMap((change) =>
      change.what === 'route' && prefixOf(change.route) === '10.2.0.0/16'
        ? [[change.isGone, change.place, formatAddress(change.route.hops[0]!.gateway!)]]
        : [],
    )
    assert.deepEqual(seen, [
      [false, 'first', '192.0.2.9'],
      [false, 'replaced', '192.0.2.8'],
      [false, 'last', '192.0.2.7'],
      [true, 'first', '192.0.2.8'],
    ])
  })

  test('addresses, links and neighbours are told', () => {
    ip('addr', 'add', '192.0.2.77/32', 'dev', 'left')
    ip('neigh', 'add', '192.0.2.50', 'lladdr', '02:00:00:00:00:50', 'dev', 'left')
    const { index } = findLink(leftRoute!, 'left')
    const changes = taken()
    assert(changes.some((each) => each.what === 'address' && formatAddress(each.address.address) === '192.0.2.77'))
    // The kernel may have told of others.
    const neighbours = changes.flatMap((each) => (each.what === 'neighbour' ? [each.neighbour] : []))
    const neighbour = neighbours.find(({ address }) => formatAddress(address) === '192.0.2.50')!
    assert.deepEqual([neighbour.index, neighbour.state], [index, 'usable'])
    assert.equal(neighbour.mac![5], 0x50)
    assert(listNeighbours(leftRoute!).some(({ address }) => formatAddress(address) === '192.0.2.50'))
    assert.deepEqual(
      listAddresses(leftRoute!)
        .filter((each) => each.index === index && each.address.length === 4)
        .map(({ address, lengthBits }) => `${formatAddress(address)}/${lengthBits}`),
      ['192.0.2.1/24', '192.0.2.77/32'],
    )
    ip('addr', 'del', '192.0.2.77/32', 'dev', 'left')
    setLink(leftRoute!, index, { mtuBytes: 1400 })
    assert.deepEqual(
      new Set(taken().map((each) => `${each.what} ${each.what !== 'route' && each.isGone}`)).has('link false'),
      true,
    )
  })

  test('a neighbour that is used is asked for, and what answers is told', async () => {
    withNamespace(right!, () => execFileSync('ip', ['addr', 'add', '192.0.2.2/24', 'dev', 'right']))
    const { index } = findLink(leftRoute!, 'left')
    taken()
    useNeighbour(leftRoute!, index, Uint8Array.of(192, 0, 2, 2))
    const found = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no neighbour after 30 s')), 30_000)
      const watch = monitor.watch(() => {
        for (const change of taken()) {
          if (change.what !== 'neighbour' || change.neighbour.mac === null) continue
          clearTimeout(timer)
          watch.close()
          resolve(Array.from(change.neighbour.mac).join())
          return
        }
      })
    })
    assert.equal(found, '2,0,0,0,0,11')
  })
})

/** As ip prints it. */
function prefixOf({ destination, lengthBits }: KernelRoute): string {
  if (lengthBits === 0) return 'default'
  const address = formatAddress(destination)
  return lengthBits === destination.length * 8 ? address : `${address}/${lengthBits}`
}
