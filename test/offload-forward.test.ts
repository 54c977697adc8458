import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { after, before, beforeEach, describe, test } from 'node:test'

import {
  closeNetlink,
  findLink,
  type NetworkNamespace,
  openRoute,
  parseMac,
  setFeatures,
  withNamespace,
  writeSysctl,
} from '../src/kernel/index.js'
import { type CountName, type ForwardDevice, type Forwarder, openForwarder } from '../src/offload/index.js'
import { eventually } from './support/eventually.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

describe('forwarding in the driver', { skip: skipUnless('root', 'ip', 'ping', 'curl') }, () => {
  let hosts: RoutedNetwork
  let devices: ForwardDevice[]
  let forwarder: Forwarder
  let earlier: Readonly<Record<CountName, number>>

  const described = (reversePath: ForwardDevice['reversePath']) => devices.map((device) => ({ ...device, reversePath }))

  before(() => {
    hosts = createRoutedNetwork()
    writeSysctl(hosts.router, 'ipv4/ip_forward', 1)
    writeSysctl(hosts.router, 'ipv6/conf/all/forwarding', 1)
    // Frames are redirected to a veth only while its other end has NAPI.
    for (const host of [hosts.left, hosts.right]) setFeatures('eth0', { 'rx-gro': true }, host)
    const route = openRoute(hosts.router)
    devices = ['left', 'right'].map((name) => {
      const { index, mac } = findLink(route, name)
      return { name, index, mac: parseMac(mac), reversePath: 'off' }
    })
    closeNetlink(route)
    forwarder = openForwarder(devices, { namespace: hosts.router })
  })

  after(() => {
    forwarder.close()
    const route = openRoute(hosts.router)
    for (const { name } of devices) assert.equal(findLink(route, name).xdp.mode, 'none')
    closeNetlink(route)
    hosts.close()
  })

  beforeEach(() => {
    earlier = forwarder.counts()
  })

  const counted = (name: CountName) => forwarder.counts()[name] - earlier[name]
  const ping = (...args: readonly string[]) => runIn(hosts.left, ['ping', '-c', '1', ...args])
  /** As many pings as reach `target`, of which none is lost. */
  const reach = async (target: string, count: number) => {
    const { stdout } = await runIn(hosts.left, [...pings(count), target])
    assertAnswered(stdout, count)
    assert.match(stdout, /ttl=63/)
  }

  for (const family of ['v4', 'v6'] as const) {
    const target = family === 'v4' ? HOSTS[1] : HOSTS6[1]

    test(`ping goes through by ${family}, once the kernel knows the neighbours`, async () => {
      await eventually('neighbours', async () => {
        const before = forwarder.counts()['no neighbour']
        const { stdout } = await runIn(hosts.left, ['ping', '-c', '2', '-i', '0.1', '-W', '1', target])
        return / 2 received/.test(stdout) && forwarder.counts()['no neighbour'] === before
      })
      const before = forwarder.counts().forwarded
      await reach(target, 50)
      assert(forwarder.counts().forwarded - before >= 100)
    })

    test(`the kernel answers to a packet at its end by ${family}`, async () => {
      const { stdout } = await ping('-t', '1', target)
      assert.match(stdout, /Time to live exceeded|Time exceeded: Hop limit/)
      assert.equal(counted('TTL'), 1)
    })
  }

  test('a page comes through, byte by byte the same', async () => {
    const server = serve()
    try {
      await eventually('a page', async () => {
        const { stdout } = await runIn(hosts.left, [
          'curl',
          '-s',
          '-o',
          '/dev/null',
          '-w',
          '%{size_download} %{http_code}',
          PAGE,
        ])
        return stdout === `${PAGE_BYTES} 200`
      })
      assert(counted('forwarded') > PAGE_BYTES / 1500)
      assert.equal(counted('bad checksum'), 0)
    } finally {
      server.kill('SIGKILL')
    }
  })

  test('what is longer than the MTU of the way is the kernel’s, which says so, or cuts it', async () => {
    ip(hosts.router, `route replace ${HOSTS[1]}/32 dev right mtu lock 1000`)
    const refused = await ping('-M', 'do', '-s', '1200', HOSTS[1])
    assert.match(refused.stdout, /[Ff]rag needed.*mtu = 1000/)
    ip(hosts.left, 'route flush cache')
    const cut = await ping('-M', 'dont', '-s', '1200', HOSTS[1])
    assert.match(cut.stdout, / 1 received/)
    assert(counted('longer than the MTU') >= 2)
    ip(hosts.router, `route del ${HOSTS[1]}/32`)
  })

  test('no route, unreachable and prohibited are the kernel’s to answer; a blackhole swallows here', async () => {
    ip(
      hosts.router,
      'route add unreachable 203.0.113.1',
      'route add prohibit 203.0.113.2',
      'route add blackhole 203.0.113.3',
    )
    assert.match((await ping('203.0.113.1')).stdout, /Destination Host Unreachable/)
    assert.match((await ping('203.0.113.2')).stdout, /Packet filtered/)
    assert.match((await ping('-W', '1', '203.0.113.3')).stdout, / 0 received/)
    assert.match((await ping('203.0.113.4')).stdout, /Destination Net Unreachable/)
    assert.deepEqual([counted('prohibited'), counted('blackhole')], [1, 1])
    // Beside these the router's kernel may be answered who its neighbours are.
    assert(counted('unreachable') + counted('local') >= 2)
  })

  test('a sender who is not routed to the device he comes by is left to the kernel’s own check', async () => {
    for (const device of described('strict')) forwarder.change(device)
    ip(hosts.left, 'addr add 192.0.9.9/32 dev eth0')
    await reach(HOSTS[1], 2)
    assert(counted('forwarded') >= 4)
    assert.equal(counted('reverse path'), 0)
    await ping('-c', '2', '-i', '0.02', '-W', '1', '-I', '192.0.9.9', HOSTS[1])
    assert.equal(counted('reverse path'), 2)
    for (const device of described('off')) forwarder.change(device)
  })

  const PAGE = `http://${HOSTS[1]}:8080/`
  const PAGE_BYTES = 3_000_000

  function serve() {
    const script = `require('http').createServer((_, answer) => answer.end(Buffer.alloc(${PAGE_BYTES}, 'x'))).listen(8080)`
    return withNamespace(hosts.right, () => spawn(process.execPath, ['-e', script], { stdio: 'ignore' }))
  }
})

/** Runs lines of ip(8). */
function ip(namespace: NetworkNamespace, ...lines: readonly string[]): void {
  withNamespace(namespace, () => execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') }))
}
