import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { type Router, startRouter } from '../src/control/router/router.js'
import type { Workers } from '../src/engine/index.js'
import { withNamespace } from '../src/kernel/index.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { ip } from './support/kernel-routes.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

describe('a router of two workers', { skip: skipUnless('root', 'ip', 'ping') }, () => {
  let network: RoutedNetwork
  let router: Router
  const warnings: string[] = []
  const options = () => ({
    devices: ['left', 'right'],
    namespace: network.router,
    tables: { v4: { rootBits: 16, nodes: 64, routes: 64 }, v6: { nodes: 64, routes: 64 } } as const,
    warn: (text: string) => warnings.push(text),
  })

  before(async () => {
    network = createRoutedNetwork({ queues: 2 })
    router = await startRouter({ ...options(), workers: 2 })
  })

  after(async () => {
    // The last test has ended it.
    router.close()
    await router.done.catch(() => {})
    network.close()
  })

  const ping = (host: string) => runIn(network.left, [...pings(3), host])

  test('what waits for a neighbour goes on when the other thread has found it', async () => {
    for (const host of [HOSTS[1], HOSTS6[1]]) assertAnswered((await ping(host)).stdout, 3)
    await eventually('all are counted', () => router.totals().received >= 12 && router.totals().forwarded >= 12)
  })

  test('packets go on while the thread that follows the kernel stands still', () => {
    // spawnSync holds this thread up until ping has ended.
    const [command, ...args] = [...inside(network.left), ...pings(20, 20), HOSTS[1]]
    assertAnswered(spawnSync(command!, args, { encoding: 'utf8' }).stdout, 20)
  })

  test('each worker has packets: the kernel shares flows out to the queues', async () => {
    const stages = () => (router.engine as Workers<never>).statistics()
    const script = `
      const socket = require('dgram').createSocket('udp4')
      for (let port = 9000; port < 9200; port++) socket.send('x', port, '${HOSTS[1]}')
      setTimeout(() => socket.close(), 200)`
    await runIn(network.left, [process.execPath, '-e', script])
    await eventually('packets in both workers', () =>
      stages().every((worker) => worker.stages.some(({ name, packets }) => name === 'route left' && packets > 0)),
    )
  })

  test('a worker that ends is started again, and forwards', async () => {
    const workers = router.engine as Workers<never>
    for (const name of ['worker 0', 'worker 1']) workers.kill(name)
    await eventually('both workers run again', () =>
      workers.statistics().every(({ isRunning, restarts }) => isRunning && restarts === 1),
    )
    for (const host of [HOSTS[1], HOSTS6[1]]) assertAnswered((await ping(host)).stdout, 3)
    assert.equal(warnings.filter((text) => /worker [01] of the router has ended/.test(text)).length, 2)
  })

  test('an address that the router gets later is answered by its kernel', async () => {
    ip(network.router, 'addr add 198.51.100.1/24 dev right')
    await eventually('an answer', async () => {
      const once = ['ping', '-c', '1', '-W', '1', '198.51.100.1']
      return (await runIn(network.left, once)).status === 0
    })
  })

  test('more workers than queues are refused, in words', async () => {
    await assert.rejects(startRouter({ ...options(), workers: 3 }), /left has 2 receive queues, and each of 3 workers/)
  })

  test('a device that goes takes the router along', async () => {
    const ended = assert.rejects(router.done, /the device right has been removed/)
    withNamespace(network.router, () => spawnSync('ip', ['link', 'del', 'right']))
    await ended
  })
})

test('one worker takes all queues of devices that have many', { skip: skipUnless('root', 'ip', 'ping') }, async () => {
  const network = createRoutedNetwork({ queues: 40 })
  const router = await startRouter({ devices: ['left', 'right'], namespace: network.router, warn: assert.fail })
  const { stdout } = await runIn(network.left, [...pings(3), HOSTS[1]])
  assertAnswered(stdout, 3)
  router.close()
  await router.done
  network.close()
})
