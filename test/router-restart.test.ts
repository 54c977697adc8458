import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { type Router, type RouterOptions, startRouter } from '../src/control/router/router.js'
import type { WorkerStatistics, Workers } from '../src/engine/index.js'
import { writeSysctl } from '../src/kernel/index.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { assertAnswered, pings } from './support/ping.js'
import { endChildren, startCommand } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'
import { watchWire } from './support/watch-wire.js'

/** One packet by each family every millisecond, until it is ended. */
const SENDER = `
const { createSocket } = require('node:dgram')
const to = [['udp4', '${HOSTS[1]}'], ['udp6', '${HOSTS6[1]}']].map(([kind, host]) => [createSocket(kind), host])
setInterval(() => { for (const [socket, host] of to) socket.send('inside', 9, host) }, 1)`

/** Of the private network, as they must not be seen outside. */
const UNTRANSLATED = 'src net 192.0.1.0/24 or src net 2001:db8:1::/64'

describe('a router of a machine that forwards by itself, while its worker is started again', {
  skip: skipUnless('root', 'ip', 'ping', 'tcpdump'),
}, () => {
  let network: RoutedNetwork
  let router: Router

  before(() => {
    network = createRoutedNetwork()
    for (const setting of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeSysctl(network.router, setting, 1)
  })

  afterEach(async () => {
    endChildren()
    router.close()
    await router.done
  })

  after(() => network.close())

  async function start(options: Partial<RouterOptions>): Promise<void> {
    const tables = { v4: { rootBits: 16, nodes: 64, routes: 64 }, v6: { nodes: 64, routes: 64 } } as const
    const common = { devices: ['left', 'right'], namespace: network.router, tables, warn: () => {} }
    router = await startRouter({ ...common, ...options })
    for (const host of [HOSTS[1], HOSTS6[1]]) assertAnswered(await pingFrom('left', host, 1), 1)
  }

  async function pingFrom(side: 'left' | 'right', host: string, count: number): Promise<string> {
    return (await runIn(network[side], [...pings(count, 20), host])).stdout
  }

  /** Packets that the kernel of the router has forwarded, of both families. */
  async function forwardedByKernel(): Promise<number> {
    const { stdout } = await runIn(network.router, ['cat', '/proc/net/snmp', '/proc/net/snmp6'])
    const [names, values] = [...stdout.matchAll(/^Ip: (.*)/gm)].map(([, line]) => line!.split(' '))
    const v4 = Number(values![names!.indexOf('ForwDatagrams')])
    return v4 + Number(/^Ip6OutForwDatagrams\s+(\d+)/m.exec(stdout)![1])
  }

  /** Ends the worker three times under traffic; gives what the kernel has forwarded meanwhile. */
  async function killThrice(): Promise<number> {
    const sender = startCommand([...inside(network.left), process.execPath, '-e', SENDER])
    const before = await forwardedByKernel()
    const { received } = router.totals()
    await eventually('traffic', () => router.totals().received > received + 20)
    const workers = router.engine as Workers<never>
    const [{ restarts: earlier }] = workers.statistics() as [WorkerStatistics]
    for (let kills = 1; kills <= 3; kills++) {
      workers.kill('worker 0')
      await eventually('it is started again', () =>
        workers.statistics().every(({ isRunning, restarts }) => isRunning && restarts === earlier + kills),
      )
      // Its counters begin anew.
      await eventually('it forwards', () => router.totals().received > 20)
    }
    sender.kill('SIGKILL')
    return (await forwardedByKernel()) - before
  }

  const withoutWorker = () => router.totals().drops['port left: no worker'] ?? 0

  test('lets no private address out, and answers pings itself all the time', async () => {
    await start({ nat: [{ kind: 'masquerade', outPort: 1 }] })
    const wire = await watchWire({ namespace: network.right, name: 'eth0' }, UNTRANSLATED)
    const answers = Promise.all([
      ...['192.0.1.1', '2001:db8:1::1'].map((host) => pingFrom('left', host, 50)),
      ...['192.0.2.1', '2001:db8:2::1'].map((host) => pingFrom('right', host, 50)),
    ])
    assert.equal(await killThrice(), 0)
    for (const text of await answers) assertAnswered(text, 50)
    assert.deepEqual(await wire.stop(), [])
    assert(withoutWorker() > 0)
  })

  test('lets nothing past the connections that it tracks', async () => {
    await start({ track: 1024 })
    assert.equal(await killThrice(), 0)
    assert(withoutWorker() > 0)
  })

  test('lets nothing past the way back that it checks', async () => {
    await start({ reversePath: 'loose' })
    assert.equal(await killThrice(), 0)
    assert(withoutWorker() > 0)
  })

  test('lets nothing past a filter that came while it ran, until the last one has gone', async () => {
    await start({})
    const first = await router.listen({ at: 'forward', action: 'drop', match: 'tcp port 25' })
    const last = await router.listen({ at: 'prerouting', action: 'drop', match: 'tcp port 26' })
    await router.listen({ at: 'forward', action: 'count' })
    await first.close()
    assert.equal(await killThrice(), 0)
    const dropped = withoutWorker()
    assert(dropped > 0)
    await last.close()
    assert((await killThrice()) > 0)
    // What was counted stays so.
    assert.equal(withoutWorker(), dropped)
  })

  test('goes on without the kernel when a filter has gone, where it tracks', async () => {
    await start({ track: 1024 })
    await (await router.listen({ at: 'forward', action: 'drop', match: 'tcp port 25' })).close()
    assert.equal(await killThrice(), 0)
    assert(withoutWorker() > 0)
  })

  test('leaves the packets to the kernel where it would do nothing else with them', async () => {
    await start({})
    assert((await killThrice()) > 0)
    assert.equal(withoutWorker(), 0)
  })
})
