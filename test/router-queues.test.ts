import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Doorbell, fifo, startRouter, tokenBucket } from '../src/control/router/router.js'
import type { QueueRate } from '../src/control/service/rates.js'
import { runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { assertAnswered, pings } from './support/ping.js'
import { endChildren, startCommand } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { startRouteCommand } from './support/route-command.js'
import { createRoutedNetwork, HOSTS } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

const PINGS = 200

describe('queues before the devices of a router', { skip: skipUnless('root', 'ip', 'ping') }, () => {
  for (const [workers, doorbells] of [
    [1, ['burst', 'packet', 'ring full', 'byte limit', 'refused']],
    [2, ['burst', 'byte limit']],
  ] as [number, Doorbell[]][])
    for (const doorbell of doorbells)
      test(`packets leave by the doorbell "${doorbell}" with ${workers} workers, and what the queue has done is told`, async () => {
        const network = createRoutedNetwork({ queues: workers })
        const router = await startRouter({
          ...{ devices: ['left', 'right'], namespace: network.router, warn: assert.fail, workers, profile: 'small' },
          queue: { doorbell, byteLimit: doorbell === 'refused' ? 'off' : 'auto' },
        })
        const ping = () => runIn(network.left, ['ping', '-W', '1', '-c', '1', HOSTS[1]])
        await eventually('it routes', async () => (await ping()).status === 0)
        assertAnswered((await runIn(network.left, [...pings(PINGS, 2), '-s', '1000', HOSTS[1]])).stdout, PINGS)
        const sent = (device: string) =>
          router.stages().reduce((sum, { name, packets }) => (name === `port ${device}` ? sum + packets : sum), 0)
        // It is told at the end of a round, which may be the next one.
        await eventually('what has been done is told', () =>
          router.queues().every(({ name, packets, bytes, kicks, packetsPerKick }) => {
            return packets === 0 && bytes === 0 && Math.round(kicks * packetsPerKick) === sent(name)
          }),
        )
        for (const { name, packetsPerKick, byteLimit } of router.queues()) {
          assert(sent(name) >= PINGS)
          if (doorbell === 'packet') assert.equal(packetsPerKick, 1)
          assert.equal(byteLimit === null, doorbell === 'refused')
        }
        router.close()
        await router.done
        network.close()
      })

  test('a router without queues has none to tell of', async () => {
    const network = createRoutedNetwork()
    const router = await startRouter({ devices: ['left', 'right'], namespace: network.router, warn: assert.fail })
    assert.deepEqual(router.queues(), [])
    router.close()
    await router.done
    network.close()
  })

  test('a worker that is started again counts on', async () => {
    const network = createRoutedNetwork()
    const warnings: string[] = []
    const router = await startRouter({
      ...{ devices: ['left', 'right'], namespace: network.router, warn: (text) => warnings.push(text) },
      queue: { discipline: tokenBucket({ bitsPerSecond: 100e6 }, fifo()) },
    })
    const ping = () => runIn(network.left, ['ping', '-W', '1', '-c', '3', '-i', '0.01', HOSTS[1]])
    const kicks = () => router.queues()[1]!.kicks
    await eventually('it routes', async () => (await ping()).status === 0)
    const before = kicks()
    assert('kill' in router.engine)
    router.engine.kill('worker 0')
    await eventually(
      'it is started again',
      () => 'kill' in router.engine && router.engine.statistics()[0]!.restarts > 0,
    )
    await eventually('it routes again', async () => (await ping()).status === 0)
    await eventually('kicks are counted on', () => kicks() > before)
    assert.equal(warnings.length, 1)
    router.close()
    await router.done
    network.close()
  })

  test('sluice route has them as options, and sluice top shows what waits', async () => {
    const network = createRoutedNetwork()
    const options = ['--queue', 'fq-codel', '--rate', '1M', '--byte-limit', '3k', '--doorbell', 'packet']
    const route = await startRouteCommand(network, ...options)
    // 5 Mbit/s and more, of which 1 leaves.
    const ping = startCommand([...inside(network.left), 'ping', '-q', '-i', '0.002', '-s', '1400', HOSTS[1]])
    ping.stdout!.resume()
    const look = () => JSON.parse(runCli(['top', '--json']).stdout).queues as QueueRate[]
    // Where the router or who looks stands still in between, a rate is another one.
    let queue: QueueRate | undefined
    await eventually('packets wait, and leave at the rate', () => {
      queue = look()[1]!
      return queue.packets > 0 && queue.kicksPerSecond > 20 && queue.kicksPerSecond < 150
    })
    assert.deepEqual([queue!.device, queue!.byteLimit, queue!.packetsPerKick], ['right', 3000, 1])
    let table = ''
    await eventually('they are shown', () => {
      table = runCli(['top', '--once']).stdout
      return /\n│ right +│ \d+, [\d.]+ k?B +│ +3\.00 kB │ +\d+ │ +1\.0 │/.test(table)
    })
    assert.match(
      table,
      /\n│ before +│ waiting +│ +limit │ kicks\/s +│ a kick +│ held\/s +│ refused\/s +│ marked\/s +│\n/,
    )
    await route.end()
    endChildren()
    network.close()
  })
})

test('options of queues that cannot be are one sentence and status 2', () => {
  for (const [args, sentence] of [
    [
      ['--byte-limit', 'much'],
      /^sluice: "much" is no byte limit; write auto, off or a number of bytes, as 3000 or 64k\n$/,
    ],
    [['--byte-limit', '0'], /^sluice: "0" is no byte limit; write auto, off or a number of bytes/],
    [['--doorbell', 'never'], /^sluice: .*--doorbell.*burst, packet, ring full, byte limit, refused/],
    [
      ['--track', '1k', '--offload', '--doorbell', 'burst'],
      /^sluice: packets that the drivers forward wait in no queue; leave one of the two out\n$/,
    ],
  ] as const) {
    const { status, stderr } = runCli(['route', 'one', 'other', ...args])
    assert.equal(status, 2, stderr)
    assert.match(stderr, sentence)
  }
})
