import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import type { RouterFlow, RouterFlows } from '../src/control/router/router-flows.js'
import type { StageRate } from '../src/control/service/rates.js'
import { setFeatures } from '../src/kernel/index.js'
import { runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { endChildren, startCommand } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { startRouteCommand } from './support/route-command.js'
import { createRoutedNetwork, HOSTS, HOSTS6 } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

function listed(...args: readonly string[]): RouterFlows {
  const { status, stdout, stderr } = runCli(['flows', ...args, '--json'])
  assert.equal(status, 0, stderr)
  return JSON.parse(stdout)
}

const nameOf = ({ protocol, original: { source, destination, destinationPort } }: RouterFlow) =>
  `${protocol} ${source} ${destination} ${destinationPort}`

describe('sluice flows', { skip: skipUnless('root', 'ip', 'ping', 'iperf3') }, () => {
  after(endChildren)

  test('lists the connections of all workers, translated ones as they were and as they are', async () => {
    const network = createRoutedNetwork({ queues: 2 })
    const publish = ['--publish', '192.0.1.1:8080=192.0.2.2:5201']
    const route = await startRouteCommand(network, '--workers', '2', '--masquerade', 'right', ...publish)
    await eventually('pings are answered', async () => {
      return (await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])).status === 0
    })
    await runIn(network.left, ['ping', '-c', '1', '-W', '20', HOSTS6[1]])
    const server = startCommand([...inside(network.right), 'iperf3', '-s', '-1', '--forceflush'])
    await once(server.stdout!, 'data')
    const client = startCommand([
      ...inside(network.left),
      'iperf3',
      '-t',
      '60',
      '-b',
      '1M',
      '-c',
      '192.0.1.1',
      '-p',
      '8080',
    ])
    await eventually('the connections stand', () => {
      return listed().flows.filter(({ protocol, state }) => protocol === 'tcp' && state === 'established').length === 2
    })
    const { flows, statistics, matching } = listed()
    assert.equal(matching, flows.length)
    assert(statistics.active >= flows.length && statistics.created >= statistics.active)
    assert.equal(statistics.capacity, 65_536)
    const [tcp] = flows.filter(({ protocol }) => protocol === 'tcp')
    assert.equal(nameOf(tcp!), 'tcp 192.0.1.2 192.0.1.1 8080')
    assert.deepEqual([tcp!.reply.source, tcp!.reply.sourcePort, tcp!.reply.destination], [HOSTS[1], 5201, '192.0.2.1'])
    assert(tcp!.isTranslated && tcp!.isReplied && tcp!.isAssured && tcp!.driver === null)
    assert(tcp!.expiresSeconds > 400_000)
    const pinged = flows.find(({ protocol }) => protocol === 'icmp6')!
    assert.deepEqual([pinged.original.source, pinged.original.destination], HOSTS6)
    assert.deepEqual([pinged.isTranslated, pinged.reply.destination], [true, '2001:db8:2::1'])
    // What it is translated to leads to it as well.
    assert.equal(listed('192.0.2.1').flows.filter(({ protocol }) => protocol === 'tcp').length, 2)
    assert.deepEqual(listed('192.0.2.99').flows, [])
    assert.equal(listed('--limit', '1').flows.length, 1)
    const table = runCli(['flows', HOSTS[1]]).stdout
    assert.match(
      table,
      /│ tcp +│ established │ 192\.0\.1\.2:\d+ +│ 192\.0\.1\.1:8080 +│ from 192\.0\.2\.1:\d+ to 192\.0\.2\.2:5201 │ +\d[^│]*│ - +│\n/,
    )
    assert.match(table, /\n\d+ of at most 65536 connections; \d+ begun, 0 expired, 0 made room, 0 refused\n$/)
    const wrong = runCli(['flows', 'nobody'])
    assert.deepEqual(
      [wrong.status, wrong.stderr],
      [2, 'sluice: "nobody" is no address; write one such as 192.0.2.7 or 2001:db8::7\n'],
    )
    client.kill('SIGKILL')
    await route.end()
    network.close()
  })

  test('says what the drivers have forwarded of each, as the totals have it', async () => {
    const network = createRoutedNetwork()
    // Frames are redirected to a veth only while its other end has NAPI.
    for (const host of network.hosts) setFeatures('eth0', { 'rx-gro': true }, host)
    const route = await startRouteCommand(network, '--track', '1k', '--offload')
    await eventually('pings are answered', async () => {
      return (await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])).status === 0
    })
    const server = startCommand([...inside(network.right), 'iperf3', '-s', '-1', '--forceflush'])
    await once(server.stdout!, 'data')
    const client = startCommand([...inside(network.left), 'iperf3', '-t', '60', '-b', '5M', '-c', HOSTS[1]])
    client.stdout!.resume()
    let [packets, bytes] = [0, 0]
    await eventually('one is in the drivers', () => {
      const driven = listed().flows.flatMap(({ driver }) => driver ?? [])
      packets = driven.reduce((sum, each) => sum + each.packets, 0)
      bytes = driven.reduce((sum, each) => sum + each.bytes, 0)
      return packets > 100
    })
    assert(bytes > packets * 52, `${bytes} bytes of ${packets} packets`)
    assert.match(runCli(['flows']).stdout, /│ tcp +│ established │ [^│]+│ [^│]+│ - +│ [^│]+│ \d+, [\d.]+ [kM]B +│\n/)
    client.kill('SIGKILL')
    const { driver } = await route.end()
    assert(driver.packets >= packets, `${driver.packets} of at least ${packets}`)
    network.close()
  })

  test('heeds how connections are to be tracked: timeouts, a full table, and those whose begin was not seen', async () => {
    const network = createRoutedNetwork()
    const before = await startRouteCommand(network, '--track', '1k')
    const ping = () => runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])
    await eventually('pings are answered', async () => (await ping()).status === 0)
    const server = startCommand([...inside(network.right), 'iperf3', '-s', '-1', '--forceflush'])
    await once(server.stdout!, 'data')
    const client = startCommand([...inside(network.left), 'iperf3', '-t', '60', '-b', '1M', '-c', HOSTS[1]])
    client.stdout!.resume()
    await eventually('a connection stands', () => listed().flows.some(({ state }) => state === 'established'))
    await before.end()

    const options = ['--track', '1', '--timeout', 'icmp=20s', '--timeout', 'udp stream=1h']
    const route = await startRouteCommand(network, ...options, '--when-full', 'refuse new', '--no-pick-up')
    // One that was too late for its neighbour has the only room for its 20 seconds.
    await eventually('pings are answered', async () => (await ping()).status === 0, 50_000)
    const [flow] = listed().flows
    assert.equal(flow!.protocol, 'icmp')
    assert(flow!.expiresSeconds <= 20 && flow!.expiresSeconds > 1)
    assert.equal((await ping()).status, 1, 'there is room for one')
    await eventually('it is refused', () => listed().statistics.refused > 0)
    const { statistics, flows } = listed()
    assert.deepEqual([statistics.capacity, statistics.evicted], [1, 0])
    assert.equal(flows.length, 1)
    await eventually(
      'the connection has tried again, of which the router has not seen the begin',
      () => {
        const { stages } = JSON.parse(runCli(['top', '--json']).stdout) as { stages: StageRate[] }
        return stages.some(({ stage, packets }) => stage === 'invalid' && packets > 0)
      },
      60_000,
    )
    client.kill('SIGKILL')
    const { drops } = await route.end()
    assert(drops['invalid: invalid'] > 0, JSON.stringify(drops))
    assert(drops['track left: table full'] > 0, JSON.stringify(drops))
    network.close()
  })

  test('a router that tracks nothing has none, and says how it would', async () => {
    const network = createRoutedNetwork()
    const route = await startRouteCommand(network)
    const { status, stderr } = runCli(['flows'])
    assert.deepEqual(
      [status, stderr],
      [
        2,
        'sluice: this service tracks no connections: choose a sluice route with --track, --masquerade or --publish\n',
      ],
    )
    await route.end()
    network.close()
  })
})

test('what cannot be tracked so is one sentence and status 2', () => {
  for (const [args, sentence] of [
    [
      ['--track', '1k', '--timeout', 'idle=1h'],
      /^sluice: "idle=1h" is no timeout; write it as established=2h, with one of these states: SYN sent, /,
    ],
    [['--track', '1k', '--timeout', 'udp=soon'], /^sluice: "soon" is no duration/],
    [
      ['--timeout', 'udp=1m'],
      /^sluice: how connections are tracked is said, and not that they are; say how many, for example --track 64k\n$/,
    ],
    [['--track', '1k', '--when-full', 'burn'], /^sluice: .*--when-full.*drop unreplied, refuse new/],
  ] as const) {
    const { status, stderr } = runCli(['route', 'one', 'other', ...args])
    assert.equal(status, 2, stderr)
    assert.match(stderr, sentence)
  }
})
