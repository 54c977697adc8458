import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fifo, type Router, startRouter, tokenBucket } from '../src/control/router/router.js'
import { CLI } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { ip } from './support/kernel-routes.js'
import { lostInKernel } from './support/lost-in-kernel.js'
import { lostAtRings, ownDrops } from './support/own-drops.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn, startIn } from './support/run-in.js'

const SERVER = fileURLToPath(new URL('./support/serve-file.js', import.meta.url))
const DOCUMENT_BYTES = 8 << 20

describe('real programs through a router', { skip: skipUnless('root', 'ip', 'ping', 'curl', 'iperf3') }, () => {
  let network: RoutedNetwork
  let router: Router
  const children: ChildProcess[] = []
  const warnings: string[] = []

  before(async () => {
    network = createRoutedNetwork()
    const { router: namespace } = network
    router = await startRouter({ devices: ['left', 'right'], namespace, warn: (text) => warnings.push(text) })
  })

  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    router.close()
    await router.done
    network.close()
    assert.deepEqual(warnings, [])
  })

  const start = (...command: readonly string[]) => {
    const [first, ...rest] = [...inside(network.right), ...command]
    const child = spawn(first!, rest, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    children.push(child)
    return child
  }

  test('ping, the first packet as well, by both families', async () => {
    for (const host of [HOSTS[1], HOSTS6[1]]) {
      const { stdout } = await runIn(network.left, [...pings(5, 100), host])
      assertAnswered(stdout, 5)
      assert.match(stdout, /ttl=63/)
    }
    // The router itself answers by its kernel.
    assert.match((await runIn(network.left, ['ping', '-c', '1', '192.0.1.1'])).stdout, /1 received.*\n/)
    assert.match((await runIn(network.left, ['ping', '-c', '1', '192.0.2.1'])).stdout, /1 received.*\n/)
  })

  test('curl gets a document whole', async () => {
    const server = start(process.execPath, SERVER, `${DOCUMENT_BYTES}`)
    const [document] = await once(server, 'message')
    const { status, stdout } = await runIn(network.left, ['sh', '-c', `curl -s http://${HOSTS[1]}/ | base64 -w 0`])
    assert.equal(status, 0)
    assert(stdout === document, 'the document differs')
  })

  test('iperf3: TCP by both families, and datagrams of which none is lost', async () => {
    for (const host of [HOSTS[1], HOSTS6[1]]) {
      const server = start('iperf3', '-s', '-1', '--forceflush', '-B', host)
      const ended = once(server, 'exit')
      await once(server.stdout!, 'data')
      const { stdout, stderr } = await runIn(network.left, ['iperf3', '-J', '-n', '16M', '-c', host])
      assert(JSON.parse(stdout).end?.sum_received.bytes > 1 << 20, stderr + stdout.slice(-500))
      await ended
    }
    const server = start('iperf3', '-s', '-1', '--forceflush', '-B', HOSTS[1])
    await once(server.stdout!, 'data')
    const { stdout } = await runIn(network.left, ['iperf3', '-J', '-u', '-b', '20M', '-k', '2000', '-c', HOSTS[1]])
    const { lost_packets: lost, packets } = JSON.parse(stdout).end.sum
    assert(packets > 1000)
    // A busy machine loses datagrams where the kernel says so: at the ends of a veth, whose rings have 256 slots, and in sockets.
    const elsewhere = (await lostInKernel(network)) + lostAtRings(router.totals())
    assert(lost <= elsewhere, `${lost} lost, ${elsewhere} of them by the kernel: ${JSON.stringify(router.totals())}`)
    assert.deepEqual(ownDrops(router.totals()), {})
  })

  test('a device goes on forwarding by another Ethernet address', async () => {
    for (const [index, device] of ['left', 'right'].entries()) {
      ip(network.router, `link set ${device} address 02:00:00:00:55:0${index}`)
      for (const host of [network.left, network.right]) ip(host, 'neigh flush dev eth0')
      await eventually('answers', async () => {
        const { forwarded } = router.totals()
        const { status } = await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])
        return status === 0 && router.totals().forwarded >= forwarded + 2
      })
    }
  })
})

describe('sluice route', { skip: skipUnless('root', 'ip', 'ping', 'iperf3') }, () => {
  test('shapes, tracks, says how many packets it has forwarded, and leaves the kernel as it was', async () => {
    const network = createRoutedNetwork()
    const options = ['--track', '1k', '--queue', 'fq-codel', '--rate', '20M', '--small', '--json']
    const command = startIn(network.router, [process.execPath, CLI, 'route', 'left', 'right', ...options])
    const server = runIn(network.right, ['iperf3', '-s', '-1', '-B', HOSTS[1]])
    await command.said(/routing between/)
    await eventually('the router forwards', async () => {
      const { status } = await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])
      return status === 0
    })
    await eventually('the server listens', async () => {
      return (await runIn(network.right, ['ss', '-Htln', 'sport', '=', '5201'])).stdout !== ''
    })
    const begin = performance.now()
    const { stdout } = await runIn(network.left, ['iperf3', '-J', '-n', '5M', '-c', HOSTS[1]])
    const { bytes } = JSON.parse(stdout).end.sum_received
    // Of all the time that it took: what a busy machine holds up comes later, and then more in the time that iperf3 counts.
    const most = (20e6 * (performance.now() - begin)) / 8000
    assert(bytes < most, `${bytes} bytes of at most ${most} of 20 Mbit/s`)
    assert(bytes > 1 << 20, `${bytes} bytes of 5 MiB`)
    const { status, stdout: document, stderr } = await command.stop()
    assert.equal(status, 0, stderr)
    const { forwarded, endedBy, drops } = JSON.parse(document)
    assert(forwarded > 2000)
    assert.equal(endedBy, 'SIGINT')
    assert.deepEqual(
      Object.keys(ownDrops({ drops })).filter((reason) => !reason.includes('codel')),
      [],
    )
    assert.match(stderr, /routing between left \(native\) and right \(native\), until Ctrl-C/)
    await server
    assert.doesNotMatch((await runIn(network.router, ['ip', '-d', 'link'])).stdout, /xdp/)
    network.close()
  })
})

describe('a router of 10 Mbit/s under more than that', { skip: skipUnless('root', 'ip', 'ping', 'iperf3') }, () => {
  test('forwards as many packets as arrive, and names what its queue lost', async () => {
    const network = createRoutedNetwork()
    const router = await startRouter({
      devices: ['left', 'right'],
      namespace: network.router,
      queue: { discipline: tokenBucket({ bitsPerSecond: 10e6 }, fifo({ packets: 64 })) },
      warn: assert.fail,
    })
    const [command, ...args] = [...inside(network.right), 'iperf3', '-s', '-1', '--forceflush']
    const server = spawn(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(server.stdout!, 'data')
    const arrived = async () => {
      const { stdout } = await runIn(network.right, ['ip', '-j', '-s', 'link', 'show', 'eth0'])
      return JSON.parse(stdout)[0].stats64.rx.packets
    }
    const { forwarded: earlier } = router.totals()
    const { stdout } = await runIn(network.left, ['iperf3', '-J', '-u', '-b', '40M', '-t', '2', '-c', HOSTS[1]])
    const { lost_packets: lost } = JSON.parse(stdout).end.sum
    assert(lost > 1000, `${lost} of ${JSON.stringify(router.totals())}`)
    const sent = () => router.stages().find(({ name }) => name === 'port right')!
    await eventually('what waits has left', async () => {
      const { received: taken, forwarded } = router.totals()
      const all = Object.values(ownDrops(router.totals())).reduce((sum, count) => sum + count, 0)
      return taken === forwarded + all && (await arrived()) >= sent().packets
    })
    // Datagrams alone fill the queue; iperf3's own connection may lose some there as well. A busy machine loses some elsewhere.
    const full = router.totals().drops['port right: queue full']!
    const elsewhere = (await lostInKernel(network)) + lostAtRings(router.totals())
    assert(full + elsewhere >= lost, `${full} and ${elsewhere} of at least ${lost}`)
    assert(full > 0)
    assert.equal(sent().drops['queue full'], full)
    assert(router.totals().forwarded > earlier)
    server.kill('SIGKILL')
    router.close()
    await router.done
    network.close()
  })
})
