import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Router, startRouter } from '../src/control/router/router.js'
import { parseAddress, writeSysctl } from '../src/kernel/index.js'
import { addWords, foldChecksum, write16 } from '../src/wire/index.js'
import { atRest, eventually } from './support/eventually.js'
import { flowFrame } from './support/flow-packet.js'
import { openHostSocket } from './support/host-socket.js'
import { ip } from './support/kernel-routes.js'
import { ownDrops } from './support/own-drops.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

describe('a router with a device that is no port', { skip: skipUnless('root', 'ip', 'ping') }, () => {
  let network: RoutedNetwork
  let router: Router
  const warnings: string[] = []

  before(async () => {
    network = createRoutedNetwork({ others: ['third'] })
    const { router: namespace, right, hosts } = network
    writeSysctl(namespace, 'ipv4/ip_forward', 1)
    writeSysctl(namespace, 'ipv6/conf/all/forwarding', 1)
    ip(right, 'addr add 10.20.1.1/32 dev eth0')
    ip(hosts[2]!, 'addr add 10.20.9.1/32 dev eth0')
    router = await startRouter({ devices: ['left', 'right'], namespace, warn: (text) => warnings.push(text) })
  })

  after(async () => {
    router.close()
    await router.done
    network.close()
    assert.deepEqual(warnings, [])
  })

  const ping = (host: string, waitSeconds = 1) => runIn(network.left, ['ping', '-c', '1', '-W', `${waitSeconds}`, host])
  const answers = (host: string) => eventually(`an answer of ${host}`, async () => (await ping(host)).status === 0)

  test('the kernel forwards to it, by both families', async () => {
    for (const host of ['192.0.3.2', '2001:db8:3::2']) await answers(host)
    assert.deepEqual(ownDrops(router.totals()), {})
  })

  test('the router forwards by a route by a port inside one that the kernel has', async () => {
    ip(network.router, 'route add 10.20.0.0/16 via 192.0.3.2', 'route add 10.20.1.0/24 via 192.0.2.2')
    for (const host of ['10.20.9.1', '10.20.1.1']) await answers(host)
    const counted = () => atRest(() => router.totals().forwarded)
    const forwarded = await counted()
    assert.equal((await ping('10.20.9.1', 20)).status, 0)
    // The answer comes by the third device, which the kernel forwards as well.
    assert.equal(await counted(), forwarded)
    assert.equal((await ping('10.20.1.1', 20)).status, 0)
    await eventually('both counted', () => router.totals().forwarded >= forwarded + 2)
    ip(network.router, 'route del 10.20.1.0/24')
    // The host behind the third device does not have the address.
    const received = () => atRest(() => router.totals().received)
    await eventually('no answer, and the router does not see who asks', async () => {
      const before = await received()
      return (await ping('10.20.1.1')).status !== 0 && (await received()) === before
    })
  })

  test('a route of which one way is by it is the kernel’s as a whole', async () => {
    ip(network.router, 'route replace 10.20.0.0/16 nexthop via 192.0.3.2 weight 1 nexthop via 192.0.2.2 weight 1')
    await answers('192.0.3.2')
    const drops = ownDrops(router.totals())
    for (let host = 1; host < 9; host++) await ping(`10.20.2.${host}`)
    assert.deepEqual(ownDrops(router.totals()), drops)
  })

  test('a source that is the router’s own goes nowhere', async () => {
    const [left, right] = [openHostSocket(network.left, 'eth0'), openHostSocket(network.right, 'eth0')]
    await answers(HOSTS[1])
    const from = (source: string, mark: number) => {
      const frame = flowFrame({ family: 4, protocol: 'udp', payload: Uint8Array.of(mark) })
      frame.set([2, 0, 0, 0, 0, 0x11, 2, 0, 0, 0, 0, 0x21])
      frame.set(parseAddress(source), 26)
      frame.set(parseAddress(HOSTS[1]), 30)
      write16(frame, 24, 0)
      write16(frame, 24, foldChecksum(addWords(0, frame, 14, 34)))
      return frame
    }
    right.take()
    left.send([from('192.0.2.1', 1), from('192.0.1.1', 1), from('192.0.1.2', 2)])
    const marks: number[] = []
    await eventually('the packet of another source', () => {
      for (const frame of right.take()) if (frame[23] === 17 && frame[12] === 8) marks.push(frame[42]!)
      return marks.includes(2)
    })
    assert(!marks.includes(1), `${marks}`)
    for (const socket of [left, right]) socket.close()
  })
})
