import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { DeviceError } from '../src/control/device.js'
import { type NatRule, type Router, type RouterOptions, startRouter } from '../src/control/router/router.js'
import {
  closeNetlink,
  findLink,
  type NetworkNamespace,
  openRoute,
  parseAddress,
  setFeatures,
  withNamespace,
} from '../src/kernel/index.js'
import { CLI } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { ownDrops } from './support/own-drops.js'
import { pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { RUN_DIRECTORY } from './support/run-directory.js'
import { type Outcome, runIn, startIn } from './support/run-in.js'

const DEVICES = ['left', 'right', 'other']
const STREAMS = 8

describe('busy flows of the engine in the drivers', { skip: skipUnless('root', 'ip', 'ping', 'iperf3') }, () => {
  let network: RoutedNetwork
  let router: Router
  const children: ChildProcess[] = []
  const warnings: string[] = []
  const options = (): RouterOptions => ({
    devices: DEVICES,
    namespace: network.router,
    track: 1024,
    offload: 64,
    warn: (sentence) => warnings.push(sentence),
  })

  before(async () => {
    network = createRoutedNetwork({ others: ['other'] })
    // Frames are redirected to a veth only while its other end has NAPI.
    for (const host of network.hosts) setFeatures('eth0', { 'rx-gro': true }, host)
    router = await startRouter(options())
  })

  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    network.close()
    assert.deepEqual(warnings, [])
  })

  const driver = () => router.totals().driver!
  const byEngine = () => router.totals().forwarded - driver().packets
  /** Once iperf3 has so many flows in the drivers, most of its packets go there, how late a busy machine may promote them. */
  const goesByDriver = async (command: Promise<Outcome>, flows = 1) => {
    await eventually('its flows are in the drivers', () => driver().flows >= flows)
    const [before, engineBefore] = [driver().packets, byEngine()]
    const { stdout, stderr } = await command
    assert(JSON.parse(stdout).end?.sum_received.bytes > 10 << 20, stderr + stdout.slice(-500))
    const [moved, engine] = [driver().packets - before, byEngine() - engineBefore]
    assert(moved > engine, `${moved} by the driver, ${engine} by the engine`)
  }
  const serve = async (namespace: NetworkNamespace, host: string) => {
    const [first, ...rest] = [...inside(namespace), 'iperf3', '-s', '-1', '--forceflush', '-B', host]
    const server = spawn(first!, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(server)
    await once(server.stdout!, 'data')
  }

  for (const [family, host] of [
    ['v4', HOSTS[1]],
    ['v6', HOSTS6[1]],
  ] as const) {
    test(`most packets of iperf3 go by the driver, and the connections end as they should (${family})`, async () => {
      await serve(network.right, host)
      // A neighbour that is found is a change, after which flows are promoted anew.
      await runIn(network.left, [...pings(2), host])
      await goesByDriver(runIn(network.left, ['iperf3', '-J', '-b', '40M', '-n', '20M', '-c', host]))
      // FIN goes to the engine, whose table knows that they have ended.
      await eventually('no flows', () => driver().flows === 0)
      assert.deepEqual(ownDrops(router.totals()), {})
    })
  }

  test('a route that changes withdraws flows at once, and the next packets go the new way', async () => {
    const received = () => {
      const [first, ...rest] = [...inside(network.hosts[2]!), 'grep', '^Udp:', '/proc/self/net/snmp']
      return Number(execFileSync(first!, rest, { encoding: 'utf8' }).split('\n')[1]!.split(' ')[1])
    }
    const target = '203.0.113.9'
    const ip = (...args: string[]) => withNamespace(network.router, () => execFileSync('ip', args))
    for (const host of network.hosts.slice(1))
      withNamespace(host, () => execFileSync('ip', ['addr', 'add', `${target}/32`, 'dev', 'lo']))
    withNamespace(network.hosts[2]!, () => execFileSync('ip', ['link', 'set', 'lo', 'up']))
    const sink = spawn(
      inside(network.hosts[2]!)[0]!,
      [
        ...inside(network.hosts[2]!).slice(1),
        process.execPath,
        '-e',
        `require('dgram').createSocket('udp4').bind(9000)`,
      ],
      { stdio: 'ignore' },
    )
    children.push(sink)
    ip('route', 'add', `${target}/32`, 'via', HOSTS[1])
    const script = `const s = require('dgram').createSocket('udp4'); s.bind(9001, () => setInterval(() => s.send('x', 9000, '${target}'), 5))`
    const [first, ...rest] = [...inside(network.left), process.execPath, '-e', script]
    const sender = spawn(first!, rest, { stdio: 'ignore' })
    children.push(sender)
    await eventually('packets in the driver', () => driver().flows > 0)
    const { packets } = driver()
    await eventually('more packets in the driver', () => driver().packets > packets + 20)
    assert.equal(received(), 0)
    ip('route', 'replace', `${target}/32`, 'via', '192.0.3.2')
    await eventually('packets there', () => received() > 5)
    // And by the driver again, the new way.
    const { packets: late } = driver()
    await eventually('packets in the driver', () => driver().packets > late + 20)
    const there = received()
    await eventually('packets there by the driver', () => received() > there + 10)
    sender.kill('SIGKILL')
    sink.kill('SIGKILL')
    ip('route', 'flush', `${target}/32`)
    await eventually('no flows', () => driver().flows === 0)
  })

  test('nothing is left when it is closed', async () => {
    router.close()
    await router.done
    const route = openRoute(network.router)
    for (const name of DEVICES) assert.equal(findLink(route, name).xdp.mode, 'none')
    closeNetlink(route)
  })

  test('flows whose addresses are translated go by the driver as well', async () => {
    const own = [HOSTS, HOSTS6].map((hosts) => hosts[1].replace(/\d+$/, '1'))
    const published = own.map((text, at): NatRule => {
      const address = parseAddress(text)
      const to = { address, length: address.length * 8, protocol: 6, port: 5202 }
      return { kind: 'destination', to, address: parseAddress([HOSTS, HOSTS6][at]![0]), port: 5201 }
    })
    const nat = [{ kind: 'masquerade', outPort: 1 } as const, ...published]
    router = await startRouter({ ...options(), nat })
    try {
      for (const [from, host, server, at, args] of [HOSTS, HOSTS6].flatMap(
        (hosts, family) =>
          [
            [network.left, network.right, hosts[1], hosts[1], []],
            // What is published, from the side that is masqueraded.
            [network.right, network.left, hosts[0], own[family]!, ['-p', '5202']],
          ] as const,
      )) {
        await serve(host, server)
        await goesByDriver(runIn(from, ['iperf3', '-J', '-b', '40M', '-n', '20M', '-c', at, ...args]))
        await eventually('no flows', () => driver().flows === 0)
      }
    } finally {
      router.close()
      await router.done
    }
  })

  test('flows go by the driver behind a policy, which every packet meets first', async () => {
    const policyFile = join(RUN_DIRECTORY, 'policy.yaml')
    writeFileSync(
      policyFile,
      'rules: [{ name: seen, action: count, match: tcp dst port 5201 and dst net 192.0.2.0/24 }]',
    )
    router = await startRouter({ ...options(), policy: { policyFile, keep: [], keepSsh: false } })
    try {
      await serve(network.right, HOSTS[1])
      await runIn(network.left, [...pings(2), HOSTS[1]])
      await goesByDriver(runIn(network.left, ['iperf3', '-J', '-b', '40M', '-t', '3', '-c', HOSTS[1]]))
      await eventually('no flows', () => driver().flows === 0)
      const [seen] = router.policy!.read().rules
      // Of both directions, of which the rule sees the one that has the data.
      assert(seen!.packets > driver().packets / 3, `${seen!.packets} counted, ${driver().packets} by the driver`)
    } finally {
      router.close()
      await router.done
    }
  })

  test('flows of several workers go by the drivers, whoever has them', async () => {
    const wide = createRoutedNetwork({ queues: 2 })
    for (const host of wide.hosts) setFeatures('eth0', { 'rx-gro': true }, host)
    const warn = (sentence: string) => warnings.push(sentence)
    router = await startRouter({
      ...{ devices: ['left', 'right'], namespace: wide.router, workers: 2, track: 1024, offload: 64, warn },
      nat: [{ kind: 'masquerade', outPort: 1 }],
    })
    try {
      await serve(wide.right, HOSTS[1])
      await runIn(wide.left, [...pings(2), HOSTS[1]])
      const streams = ['-P', `${STREAMS}`, '-b', '5M', '-n', '20M']
      // So many are all in one worker's table once in 128 times.
      await goesByDriver(runIn(wide.left, ['iperf3', '-J', ...streams, '-c', HOSTS[1]]), STREAMS)
      await eventually('no flows', () => driver().flows === 0)
    } finally {
      router.close()
      await router.done
      wide.close()
    }
  })

  test('only flows that are tracked are offloaded, and none that wait in a queue', async () => {
    const { track: _, ...untracked } = options()
    await assert.rejects(startRouter(untracked), DeviceError)
    await assert.rejects(startRouter({ ...options(), queue: {} }), DeviceError)
  })

  test('sluice route --offload says what the drivers did', async () => {
    const args = ['--track', '1k', '--offload', '--small', '--json']
    const command = startIn(network.router, [process.execPath, CLI, 'route', 'left', 'right', ...args])
    const up = async () => (await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])).status === 0
    await command.said(/routing between/)
    await eventually('the router forwards', up)
    await serve(network.right, HOSTS[1])
    await runIn(network.left, ['iperf3', '-b', '10M', '-n', '4M', '-c', HOSTS[1]])
    const { status, stdout, stderr } = await command.stop()
    assert.equal(status, 0, stderr)
    const { forwarded, driver: counted } = JSON.parse(stdout)
    assert(counted.packets > 100, stdout)
    assert(forwarded > counted.packets, stdout)
    assert.equal(typeof counted.flows, 'number')
  })
})
