import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { skipUnless } from '../../test/support/require.js'
import { closeNamespace, createNamespace, type NetworkNamespace, withNamespace } from './namespace.js'
import { closeNetlink, type NetlinkSocket } from './netlink.js'
import {
  addAddress,
  addNeighbour,
  addRoute,
  createVeth,
  deleteLink,
  findLink,
  listLinks,
  openRoute,
  setLink,
} from './rtnetlink.js'

/** What iproute2, which we did not write, says about a namespace. */
// biome-ignore lint/suspicious/noExplicitAny: iproute2's JSON has no types
function ip(namespace: NetworkNamespace, ...args: string[]): any[] {
  const text = withNamespace(namespace, () => execFileSync('ip', ['-details', '-json', ...args], { encoding: 'utf8' }))
  return JSON.parse(text || '[]')
}

describe('rtnetlink agrees with ip', { skip: skipUnless('root', 'ip') }, () => {
  let [left, right]: NetworkNamespace[] = []
  let [leftRoute, rightRoute]: NetlinkSocket[] = []

  before(() => {
    left = createNamespace()
    right = createNamespace()
    leftRoute = openRoute(left)
    rightRoute = openRoute(right)
    createVeth(
      leftRoute,
      { name: 'left', mac: '02:00:00:00:00:0a', queues: 2 },
      { name: 'right', mac: '02:00:00:00:00:0b', mtuBytes: 1400 },
      right,
    )
  })

  after(() => {
    for (const route of [leftRoute, rightRoute]) closeNetlink(route)
    for (const namespace of [left, right]) closeNamespace(namespace)
  })

  test('a veth pair has one end here and one there, as described', () => {
    const [here] = ip(left, 'link', 'show', 'left')
    assert.equal(here.address, '02:00:00:00:00:0a')
    assert.equal(here.linkinfo.info_kind, 'veth')
    assert.deepEqual([here.num_rx_queues, here.num_tx_queues, here.mtu], [2, 2, 1500])
    const [there] = ip(right, 'link', 'show', 'right')
    assert.deepEqual([there.address, there.num_rx_queues, there.mtu], ['02:00:00:00:00:0b', 1, 1400])
    assert.equal(there.link_index, here.ifindex)
  })

  test('every device of a list is as ip shows it', () => {
    const shown = ip(left, 'link').map((link) => [link.ifindex, link.ifname, link.address, link.mtu])
    assert.deepEqual(
      listLinks(leftRoute).map((link) => [link.index, link.name, link.mac, link.mtuBytes]),
      shown,
    )
  })

  test('a device is found by name and by index, and changed', () => {
    const link = findLink(leftRoute, 'left')
    assert.deepEqual(findLink(leftRoute, link.index), link)
    assert.deepEqual([link.kind, link.rxQueues, link.isUp, link.xdp.mode], ['veth', 2, false, 'none'])
    setLink(leftRoute, link.index, { up: true, mtuBytes: 1300, mac: '02:00:00:00:00:0c' })
    const [shown] = ip(left, 'link', 'show', 'left')
    assert.deepEqual([shown.flags.includes('UP'), shown.mtu, shown.address], [true, 1300, '02:00:00:00:00:0c'])
    assert.equal(findLink(leftRoute, 'left').isUp, true)
    setLink(leftRoute, link.index, { mtuBytes: 1500 })
    assert.equal(findLink(leftRoute, 'left').isUp, true)
  })

  test('addresses, routes and neighbours of both families arrive', () => {
    const { index } = findLink(rightRoute, 'right')
    setLink(leftRoute, findLink(leftRoute, 'left').index, { up: true })
    setLink(rightRoute, index, { up: true })
    addAddress(rightRoute, index, '192.0.2.1/24')
    addAddress(rightRoute, index, '2001:db8::1/64')
    addRoute(rightRoute, 'default', '192.0.2.2')
    addRoute(rightRoute, '198.51.100.0/24', '192.0.2.3', index)
    addRoute(rightRoute, '2001:db8:9::/48', '2001:db8::2')
    addNeighbour(rightRoute, index, '192.0.2.2', '02:00:00:00:00:0c')
    addNeighbour(rightRoute, index, '2001:db8::2', '02:00:00:00:00:0c')

    const addresses = ip(right, 'address', 'show', 'right')[0].addr_info
    const global = addresses.filter((entry: { scope: string }) => entry.scope === 'global')
    assert.deepEqual(
      global.map((entry: { local: string; prefixlen: number; tentative?: true }) => [
        entry.local,
        entry.prefixlen,
        entry.tentative,
      ]),
      [
        ['192.0.2.1', 24, undefined],
        ['2001:db8::1', 64, undefined],
      ],
    )
    const gateways = [...ip(right, 'route'), ...ip(right, '-6', 'route')].filter((route) => route.gateway)
    assert.deepEqual(
      gateways.map((route) => [route.dst, route.gateway]),
      [
        ['default', '192.0.2.2'],
        ['198.51.100.0/24', '192.0.2.3'],
        ['2001:db8:9::/48', '2001:db8::2'],
      ],
    )
    const neighbours = [...ip(right, '-4', 'neigh'), ...ip(right, '-6', 'neigh')]
    assert.deepEqual(
      neighbours.map((neighbour) => [neighbour.dst, neighbour.lladdr, neighbour.state]),
      [
        ['192.0.2.2', '02:00:00:00:00:0c', ['PERMANENT']],
        ['2001:db8::2', '02:00:00:00:00:0c', ['PERMANENT']],
      ],
    )
  })

  test('a refusal carries its errno and the words of the kernel', () => {
    assert.throws(() => findLink(leftRoute, 'nowhere'), { name: 'KernelError', code: 'ENODEV' })
    assert.throws(() => addRoute(leftRoute, '10.0.0.0/8', '10.0.0.1'), {
      code: 'ENETUNREACH',
      message: /adding the route 10\.0\.0\.0\/8 via 10\.0\.0\.1: .*gateway.*: ENETUNREACH/,
    })
    assert.throws(() => createVeth(leftRoute, { name: 'left' }, { name: 'x' }, right), { code: 'EEXIST' })
    assert.throws(() => findLink(leftRoute, 'a-name-of-16-byte'), /use 1 to 15 bytes/)
  })

  test('the socket serves on after a refusal, and one removal takes both ends', () => {
    deleteLink(leftRoute, 'left')
    assert.deepEqual(
      [listLinks(leftRoute), listLinks(rightRoute)].flat().map((link) => link.name),
      ['lo', 'lo'],
    )
  })

  test('a long list comes whole', () => {
    for (let i = 0; i < 60; i++) createVeth(leftRoute, { name: `many-${i}` }, { name: `other-${i}` }, right)
    const names = ip(left, 'link').map((link) => link.ifname)
    assert.equal(names.length, 61)
    assert.deepEqual(
      listLinks(leftRoute).map((link) => link.name),
      names,
    )
  })
})
