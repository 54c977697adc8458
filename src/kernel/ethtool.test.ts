import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { skipUnless } from '../../test/support/require.js'
import { readChannels, readDriver, readFeatures, readStatistics, setFeatures } from './ethtool.js'
import { closeNamespace, createNamespace, type NetworkNamespace } from './namespace.js'
import { closeNetlink } from './netlink.js'
import { createVeth, findLink, openRoute, setLink } from './rtnetlink.js'
import { readDeviceAttribute } from './sysfs.js'

describe('ethtool', { skip: skipUnless('root') }, () => {
  let [left, right]: NetworkNamespace[] = []

  before(() => {
    left = createNamespace()
    right = createNamespace()
    const route = openRoute(left)
    createVeth(route, { name: 'left', queues: 2 }, { name: 'right' }, right)
    setLink(route, findLink(route, 'left').index, { up: true })
    closeNetlink(route)
  })

  after(() => {
    closeNamespace(left)
    closeNamespace(right)
  })

  test('the driver is named', () => {
    assert.equal(readDriver('left', left).driver, 'veth')
    assert.throws(() => readDriver('right', left), { name: 'KernelError', code: 'ENODEV' })
  })

  test('the statistics carry their names: the index of the peer is the peer', () => {
    const route = openRoute(right)
    const statistics = readStatistics('left', left)
    assert.equal(statistics.get('peer_ifindex'), findLink(route, 'right').index)
    for (const name of ['rx_queue_1_xdp_packets', 'rx_queue_1_xdp_drops', 'tx_queue_1_xdp_xmit']) {
      assert.equal(statistics.get(name), 0, name)
    }
    closeNetlink(route)
  })

  test('the channels are those the pair was made with', () => {
    assert.deepEqual(readChannels('left', left), { rx: 2, tx: 2, combined: 0, maxRx: 2, maxTx: 2, maxCombined: 0 })
  })

  test('a feature is switched and read back, in the first word of bits and in the second', () => {
    for (const name of ['rx-gro', 'rx-gro-list']) {
      assert.deepEqual(readFeatures('left', left).get(name), { isOn: false, isFixed: false }, name)
      setFeatures('left', { [name]: true }, left)
      assert.equal(readFeatures('left', left).get(name)?.isOn, true, name)
      setFeatures('left', { [name]: false }, left)
      assert.equal(readFeatures('left', left).get(name)?.isOn, false, name)
    }
  })

  test('what the driver fixes is refused by name', () => {
    assert.deepEqual(readFeatures('left', left).get('loopback'), { isOn: false, isFixed: true })
    assert.throws(() => setFeatures('left', { loopback: true }, left), /left would not switch loopback/)
    assert.throws(() => setFeatures('left', { 'rx-teleport': true }, left), /no device feature "rx-teleport"/)
  })

  test('sysfs shows the devices of the namespace it is asked for', () => {
    assert.equal(readDeviceAttribute(left, 'left', 'mtu'), '1500')
    assert.throws(() => readDeviceAttribute(left, 'right', 'mtu'), { name: 'KernelError', code: 'ENOENT' })
  })
})
