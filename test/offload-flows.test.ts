import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { type DriverRouter, startDriverRouter } from '../src/control/router/driver-router.js'
import type { StageRate } from '../src/control/service/rates.js'
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
import { type Forwarder, type OffloadFlow, openForwarder } from '../src/offload/index.js'
import { CLI, runCli } from './support/cli.js'
import { atRest, eventually } from './support/eventually.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn, startIn } from './support/run-in.js'

const PORT = 8080
const PAGE_BYTES = 5_000_000
const UDP = 17

describe('flows in the driver', { skip: skipUnless('root', 'ip', 'ping', 'curl') }, () => {
  let network: RoutedNetwork

  before(() => {
    network = createRoutedNetwork()
    writeSysctl(network.router, 'ipv4/ip_forward', 1)
    writeSysctl(network.router, 'ipv6/conf/all/forwarding', 1)
    // Frames are redirected to a veth only while its other end has NAPI.
    for (const host of [network.left, network.right]) setFeatures('eth0', { 'rx-gro': true }, host)
  })

  after(() => network.close())

  test('sluice route --in-driver forwards, and says what became of packets', async () => {
    const command = [process.execPath, CLI, 'route', 'left', 'right', '--in-driver', '--json']
    const running = startIn(network.router, command)
    // Programs that cannot send to each other yet are at the devices earlier; the kernel forwards what they meet.
    await running.said(/routing in the drivers/)
    const route = openRoute(network.router)
    assert(['left', 'right'].every((name) => findLink(route, name).xdp.mode !== 'none'))
    // The hosts' first packets wait for neighbours in the kernel.
    await runIn(network.left, [...pings(1), HOSTS[1]])
    const { stdout } = await runIn(network.left, [...pings(10), HOSTS[1]])
    assertAnswered(stdout, 10)
    const { stages } = JSON.parse(runCli(['top', '--device', 'right', '--json']).stdout) as { stages: StageRate[] }
    assert(stages.find(({ stage }) => stage === 'forwarded by a look-up')!.packets >= 20)
    const traced = runCli(['trace', 'icmp', '--device', 'right'])
    assert.equal(traced.status, 2)
    assert.match(traced.stderr, /the packets of sluice route stay in the drivers/)
    const { status, stdout: document } = await running.stop()
    assert.equal(status, 0)
    const { forwarded, endedBy } = JSON.parse(document)
    assert(forwarded >= 20, document)
    assert.equal(endedBy, 'SIGINT')
    assert(['left', 'right'].every((name) => findLink(route, name).xdp.mode === 'none'))
    closeNetlink(route)
  })

  test('a table that is too large, and what only the engine does, are wrong inputs', async () => {
    for (const [args, said] of [
      [['--flows', '70k'], /at most 65536/],
      [['--track', '10'], /--in-driver.*cannot be used with.*--track/],
      [['--byte-limit', '3k'], /--in-driver.*cannot be used with.*--byte-limit/],
      [['--doorbell', 'packet'], /--in-driver.*cannot be used with.*--doorbell/],
    ] as const) {
      const { status, stderr } = await runIn(network.router, [
        process.execPath,
        CLI,
        'route',
        'a',
        'b',
        '--in-driver',
        ...args,
      ])
      assert.equal(status, 2)
      assert.match(stderr, said)
    }
  })

  describe('that the program finds itself', () => {
    let router: DriverRouter
    const warnings: string[] = []
    let server: ReturnType<typeof spawn>

    before(() => {
      router = startDriverRouter({
        devices: ['left', 'right'],
        namespace: network.router,
        flows: 256,
        warn: (sentence) => warnings.push(sentence),
      })
      const script = `require('http').createServer((_, answer) => answer.end(Buffer.alloc(${PAGE_BYTES}, 'x'))).listen(${PORT}, '::')`
      server = withNamespace(network.right, () => spawn(process.execPath, ['-e', script], { stdio: 'ignore' }))
    })

    after(async () => {
      server.kill('SIGKILL')
      router.close()
      await router.done
      const route = openRoute(network.router)
      for (const name of ['left', 'right']) assert.equal(findLink(route, name).xdp.mode, 'none')
      closeNetlink(route)
    })

    const fetchPage = async (host: string) => {
      const command = [
        'curl',
        '-s',
        '-m',
        '30',
        '-o',
        '/dev/null',
        '-w',
        '%{size_download} %{http_code}',
        `http://${host}:${PORT}/`,
      ]
      return (await runIn(network.left, command)).stdout
    }

    for (const [family, host] of [
      ['v4', HOSTS[1]],
      ['v6', `[${HOSTS6[1]}]`],
    ] as const) {
      test(`a page comes whole, most of its packets by flow (${family})`, async () => {
        await eventually('a page', async () => (await fetchPage(host)) === `${PAGE_BYTES} 200`)
        const before = router.totals()
        assert.equal(await fetchPage(host), `${PAGE_BYTES} 200`)
        const totals = router.totals()
        const [all, byFlow] = [totals.forwarded - before.forwarded, totals.byFlow - before.byFlow]
        assert(all > PAGE_BYTES / 1500, `${all} packets`)
        assert(byFlow > all / 2, `${byFlow} of ${all} by flow`)
      })
    }

    test('a flow whose route is taken back is forwarded no more; when it is there again, it is', async () => {
      const udp = sendSteadily(network.left, HOSTS[1])
      try {
        await eventually('packets by flow', () => router.totals().activeFlows > 0)
        ip(network.router, `route add blackhole ${HOSTS[1]}/32`)
        const swallowed = () => router.totals().others.blackhole ?? 0
        const before = swallowed()
        await eventually('packets in the blackhole', () => swallowed() > before + 10)
        // All of them are: no packet comes by an old flow any more.
        const forwarded = await atRest(() => router.totals().forwarded)
        const late = swallowed()
        await eventually('more packets in the blackhole', () => swallowed() > late + 20)
        assert.equal(router.totals().forwarded, forwarded)
        ip(network.router, `route del blackhole ${HOSTS[1]}/32`)
        const { byFlow } = router.totals()
        await eventually('packets by flow again', () => router.totals().byFlow > byFlow + 10)
      } finally {
        udp.kill('SIGKILL')
      }
    })

    test('nothing was to be warned of', () => assert.deepEqual(warnings, []))
  })

  describe('that user space installs', () => {
    let forwarder: Forwarder
    let flow: OffloadFlow

    before(async () => {
      const route = openRoute(network.router)
      const devices = ['left', 'right'].map((name) => {
        const { index, mac } = findLink(route, name)
        return { name, index, mac: parseMac(mac), reversePath: 'off' as const }
      })
      closeNetlink(route)
      forwarder = openForwarder(devices, { namespace: network.router, table: { capacity: 2, learnOneIn: 0 } })
      const key = {
        family: 4,
        protocol: UDP,
        source: address(HOSTS[0]),
        destination: address(HOSTS[1]),
        sourcePort: 5000,
        destinationPort: 6000,
        from: devices[0]!.index,
      } as const
      flow = {
        key,
        out: devices[1]!.index,
        longestBytes: 1500,
        sourceMac: devices[1]!.mac,
        destinationMac: parseMac('02:00:00:00:00:22'),
      }
    })

    after(() => forwarder.close())

    /** Sends so many datagrams to the flow's destination, and gives what a receiver at `port` has of them, with their senders. */
    const exchange = async (count: number, port: number): Promise<string[]> => {
      const receiver = `
        const socket = require('dgram').createSocket('udp4'); let left = ${count}
        socket.on('message', (data, from) => { console.log(from.address + ' ' + from.port + ' ' + data.length); if (--left === 0) socket.close() })
        socket.bind(${port}, () => console.error('listening'))`
      const sender = `
        const socket = require('dgram').createSocket('udp4'); let left = ${count}
        socket.bind(5000, function next() { left-- > 0 ? socket.send(Buffer.alloc(101, 7), 6000, '${HOSTS[1]}', next) : socket.close() })`
      const receiving = startIn(network.right, [process.execPath, '-e', receiver])
      await receiving.said(/listening/)
      const { status, stderr } = await runIn(network.left, [process.execPath, '-e', sender])
      assert.equal(status, 0, stderr)
      return (await receiving.ended).stdout.trim().split('\n')
    }

    test('its packets go by it, and are counted', async () => {
      const table = forwarder.flows!
      assert(table.install(flow))
      assert.deepEqual(await exchange(5, 6000), Array(5).fill(`${HOSTS[0]} 5000 101`))
      assert.equal(forwarder.counts()['forwarded by flow'], 5)
      assert.deepEqual(counted(table.counters()), [[5, 5 * (101 + 28)]])
      assert.deepEqual(counted([table.withdraw(flow.key)!]), [[5, 5 * (101 + 28)]])
      assert.equal(table.withdraw(flow.key), null)
    })

    test('with other addresses and ports, and checksums that the receiver takes', async () => {
      const table = forwarder.flows!
      const translated = { ...flow.key, source: Uint8Array.of(192, 0, 1, 77), sourcePort: 1234, destinationPort: 7000 }
      assert(table.install({ ...flow, translated }))
      assert.deepEqual(await exchange(5, 7000), Array(5).fill('192.0.1.77 1234 101'))
      assert.deepEqual(counted([table.withdraw(flow.key)!]), [[5, 5 * (101 + 28)]])
    })

    test('what does not fit is refused, what is idle or of an older generation is swept', () => {
      const table = forwarder.flows!
      const other = (sourcePort: number): OffloadFlow => ({ ...flow, key: { ...flow.key, sourcePort } })
      assert.deepEqual(
        [1, 2, 3].map((port) => table.install(other(port))),
        [true, true, false],
      )
      assert.deepEqual(table.sweep(1000, 0), [])
      assert.equal(table.active(), 2)
      assert.equal(table.sweep(1000, 1001).length, 2)
      assert(table.install(other(4)))
      table.invalidate()
      assert.equal(table.sweep(1000, 1002).length, 1)
      assert(table.install(other(5)))
      assert.equal(table.sweep(1000, 1003).length, 0)
    })
  })
})

function counted(flows: readonly { readonly packets: number; readonly bytes: number }[]): number[][] {
  return flows.map(({ packets, bytes }) => [packets, bytes])
}

function address(text: string): Uint8Array {
  return Uint8Array.from(text.split('.').map(Number))
}

/** A datagram each few milliseconds, from one port. */
function sendSteadily(namespace: NetworkNamespace, host: string) {
  const script = `
    const socket = require('dgram').createSocket('udp4')
    socket.bind(5001, () => setInterval(() => socket.send(Buffer.alloc(64), 6001, '${host}'), 3))`
  return withNamespace(namespace, () => spawn(process.execPath, ['-e', script], { stdio: 'ignore' }))
}

/** Runs lines of ip(8). */
function ip(namespace: NetworkNamespace, ...lines: readonly string[]): void {
  withNamespace(namespace, () => execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') }))
}
