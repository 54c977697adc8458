import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fifo, type Router, startRouter, tokenBucket } from '../src/control/router/router.js'
import type { StageStatistics, Workers } from '../src/engine/index.js'
import { parseAddress } from '../src/kernel/index.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { lostInKernel } from './support/lost-in-kernel.js'
import { lostAtRings, ownDrops } from './support/own-drops.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

const SERVER = fileURLToPath(new URL('./support/serve-file.js', import.meta.url))
const DOCUMENT_BYTES = 4 << 20
/** Of the router, on the side of the server. */
const OUTSIDE = '192.0.2.1'
const CONNECTIONS = 60
const QUESTIONS = 200
/** For whatever comes at once where a machine is idle. */
const PATIENCE_MS = 40_000
/** Of each port, in bits a second. */
const RATE = 20e6

/** Says to each who connects who he is, and by which port he sends datagrams. */
const LISTENER = `
const net = require('node:net')
net.createServer((socket) => socket.end(socket.remoteAddress + ' ' + socket.remotePort)).listen(7000, '::')
const udp = require('node:dgram').createSocket('udp6').on('message', (_, from) => udp.send('' + from.port, from.port, from.address))
udp.bind(7000, () => process.send('up'))
`
/** Asks over so many connections at once, and prints what each has heard, a line each. */
const asking = (host: string, count: number) => `
const net = require('node:net')
for (let each = 0; each < ${count}; each++) {
  let heard = ''
  net.connect(7000, '${host}').on('data', (text) => { heard += text }).on('close', () => console.log(heard)).on('error', (error) => console.log(error.code))
}`
/** Sends so many datagrams, each from a socket of its own, and prints how many came back. */
const questioning = (host: string, count: number) => `
let back = 0
const end = () => { console.log(back); process.exit() }
const sockets = Array.from({ length: ${count} }, () => require('node:dgram').createSocket('udp${host.includes(':') ? 6 : 4}').on('message', () => ++back === ${count} && end()))
sockets.forEach((socket, each) => setTimeout(() => socket.send('x', 7000, '${host}'), each))
setTimeout(end, ${PATIENCE_MS})`
/** Asks by so many sockets twice, the second time when it is told so, and says how many have the same port then. */
const askingTwice = (host: string, count: number) => `
const heard = []
let before
const sockets = Array.from({ length: ${count} }, (_, each) => require('node:dgram').createSocket('udp4').on('message', (bytes) => {
  heard[each] = '' + bytes
  if (heard.filter((text) => text).length === ${count}) said()
}))
const ask = () => sockets.forEach((socket, each) => setTimeout(() => socket.send('x', 7000, '${host}'), each))
const said = () => {
  if (before === undefined) process.send(heard.length)
  else process.send(heard.filter((port, each) => port === before[each]).length, () => process.exit())
  before = heard.splice(0)
}
ask()
process.on('message', ask)
setTimeout(() => process.exit(1), ${PATIENCE_MS})`
const closedPort = (host: string) => `
const socket = require('node:dgram').createSocket('udp${host.includes(':') ? 6 : 4}')
socket.connect(9, '${host}', () => socket.send('x'))
socket.on('error', ({ code }) => { console.log(code); socket.close() })
setTimeout(() => process.exit(1), ${PATIENCE_MS}).unref()`

/** A router of two workers with flows, and what real programs find behind it. */
function openRig() {
  let network: RoutedNetwork
  let router: Router
  const children: ChildProcess[] = []
  const start = (namespace: RoutedNetwork['left'], ...command: readonly string[]) => {
    const [first, ...rest] = [...inside(namespace), ...command]
    const child = spawn(first!, rest, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    children.push(child)
    return child
  }
  const workers = () => router.engine as Workers<never>
  /** Packets of the stages whose names begin so, by worker. */
  const packets = (begin: string) =>
    workers()
      .statistics()
      .map(({ stages }) => stages.filter(({ name }) => name.startsWith(begin)).reduce(sumPackets, 0))
  return {
    async open(options: Partial<Parameters<typeof startRouter>[0]>) {
      network = createRoutedNetwork({ queues: 2 })
      router = await startRouter({
        devices: ['left', 'right'],
        namespace: network.router,
        workers: 2,
        tables: { v4: { rootBits: 16, nodes: 64, routes: 64 }, v6: { nodes: 64, routes: 64 } },
        warn: () => {},
        ...options,
      })
      await once(start(network.right, process.execPath, '-e', LISTENER), 'message')
    },
    async close() {
      for (const child of children) child.kill('SIGKILL')
      router.close()
      await router.done
      network.close()
    },
    start,
    workers,
    packets,
    network: () => network,
    router: () => router,
    fromLeft: async (script: string) => (await runIn(network.left, [process.execPath, '-e', script])).stdout,
    async ping(host: string) {
      assertAnswered((await runIn(network.left, [...pings(5), host])).stdout, 5)
    },
    /** Ends a worker, and waits until there is another in its place. */
    async restart(worker: string) {
      workers().kill(worker)
      await eventually('it runs again', () => {
        const found = workers()
          .statistics()
          .find(({ name }) => name === worker)!
        return found.isRunning && found.restarts === 1
      })
    },
    /** Both have had packets to track, from both devices, and have handed over what was not theirs. */
    assertShared() {
      for (const begin of ['track left', 'track right', 'send to worker'])
        for (const each of packets(begin)) assert(each > 0, `${begin}: ${packets(begin)}`)
    },
  }
}

function sumPackets(sum: number, { packets }: StageStatistics): number {
  return sum + packets
}

describe('connections that are tracked by two workers', {
  skip: skipUnless('root', 'ip', 'ping', 'curl', 'iperf3'),
}, () => {
  const rig = openRig()
  before(() => rig.open({ track: 4096 }))
  after(rig.close)

  test('both have their flows, whichever queue a packet comes by', async () => {
    for (const host of [HOSTS[1], HOSTS6[1]]) {
      await rig.ping(host)
      const said = (await rig.fromLeft(asking(host, CONNECTIONS))).trim().split('\n')
      assert.equal(said.filter((text) => / \d+$/.test(text)).length, CONNECTIONS, said.join('\n'))
      assert.equal(await rig.fromLeft(questioning(host, QUESTIONS)), `${QUESTIONS}\n`)
      assert.match(await rig.fromLeft(closedPort(host)), /ECONNREFUSED/)
    }
    rig.assertShared()
    const totals = () => rig.router().totals()
    await eventually('what has been received is forwarded', () => totals().forwarded === totals().received)
    assert.deepEqual(ownDrops(totals()), {})
    assert(totals().received > 1500, `${totals().received} received`)
  })

  test('curl and iperf3 find all that they ask for', async () => {
    const { left, right } = rig.network()
    const server = rig.start(right, process.execPath, SERVER, `${DOCUMENT_BYTES}`)
    const [document] = await once(server, 'message')
    const { stdout } = await runIn(left, ['sh', '-c', `curl -s http://${HOSTS[1]}/ | base64 -w 0`])
    assert(stdout === document, 'the document differs')
    const meter = rig.start(right, 'iperf3', '-s', '-1', '--forceflush', '-B', HOSTS[1])
    await once(meter.stdout!, 'data')
    const report = await runIn(left, ['iperf3', '-J', '-P', '4', '-t', '1', '--bidir', '-c', HOSTS[1]])
    assert(JSON.parse(report.stdout).end?.sum_received.bytes > 1 << 20, report.stdout.slice(-500))
  })

  test('one that ends is started again, with no flows', async () => {
    await rig.restart('worker 0')
    for (const host of [HOSTS[1], HOSTS6[1]]) {
      await rig.ping(host)
      const said = (await rig.fromLeft(asking(host, CONNECTIONS))).trim().split('\n')
      assert.equal(said.filter((text) => / \d+$/.test(text)).length, CONNECTIONS, said.join('\n'))
    }
  })
})

describe('addresses that are translated by two workers', {
  skip: skipUnless('root', 'ip', 'ping', 'curl'),
}, () => {
  const rig = openRig()
  before(() =>
    rig.open({
      nat: [
        { kind: 'masquerade', outPort: 1 },
        {
          kind: 'destination',
          to: { address: parseAddress(OUTSIDE), length: 32, protocol: 6, port: 80 },
          address: parseAddress(HOSTS[0]),
          port: 80,
        },
      ],
    }),
  )
  after(rig.close)

  test('each has ports by which answers find it', async () => {
    for (const host of [HOSTS[1], HOSTS6[1]]) {
      await rig.ping(host)
      const said = (await rig.fromLeft(asking(host, CONNECTIONS))).trim().split('\n')
      const ports = new Set(said.map((text) => Number(/^(?:::ffff:192\.0\.2\.1|2001:db8:2::1) (\d+)$/.exec(text)?.[1])))
      assert.equal(ports.size, CONNECTIONS, said.join('\n'))
      for (const port of ports) assert(port >= 61_000, said.join('\n'))
      assert.equal(await rig.fromLeft(questioning(host, QUESTIONS)), `${QUESTIONS}\n`)
      assert.match(await rig.fromLeft(closedPort(host)), /ECONNREFUSED/)
    }
    rig.assertShared()
    assert.deepEqual(ownDrops(rig.router().totals()), {})
  })

  test('a published port is the server behind it', async () => {
    const { left, right } = rig.network()
    const server = rig.start(left, process.execPath, SERVER, `${DOCUMENT_BYTES}`)
    const [document] = await once(server, 'message')
    const ask = `for each in 1 2 3 4 5 6 7 8; do curl -s http://${OUTSIDE}/ | sha256sum; done | sort -u`
    const { stdout } = await runIn(right, ['sh', '-c', ask])
    assert.equal(stdout, `${createHash('sha256').update(Buffer.from(document, 'base64')).digest('hex')}  -\n`)
  })

  test('one that ends loses its flows alone', async () => {
    const asker = rig.start(rig.network().left, process.execPath, '-e', askingTwice(HOSTS[1], QUESTIONS))
    assert.deepEqual(await once(asker, 'message'), [QUESTIONS, undefined])
    await rig.restart('worker 0')
    asker.send('again')
    const [same] = await once(asker, 'message')
    // Half of them, each by chance.
    assert(same > QUESTIONS / 4 && same < (QUESTIONS * 3) / 4, `${same} of ${QUESTIONS}`)
  })
})

describe('queues before the ports of two workers', {
  skip: skipUnless('root', 'ip', 'ping', 'iperf3'),
}, () => {
  const rig = openRig()
  before(() =>
    rig.open({
      track: 4096,
      queue: { discipline: tokenBucket({ bitsPerSecond: RATE }, fifo({ packets: 64 })) },
    }),
  )
  after(rig.close)

  test('take what either sends, and lose by name what is too much', async () => {
    for (const host of [HOSTS[1], HOSTS6[1]]) {
      await rig.ping(host)
      const said = (await rig.fromLeft(asking(host, CONNECTIONS))).trim().split('\n')
      assert.equal(said.filter((text) => / \d+$/.test(text)).length, CONNECTIONS, said.join('\n'))
    }
    rig.assertShared()
    // Each queue has one worker; by the other one packets go there.
    const before = rig.packets('send queue before')
    assert(
      before.every((each) => each > 0),
      `${before}`,
    )
  })

  test('a rate is that of the port, whichever workers send', async () => {
    const { left, right } = rig.network()
    const meter = rig.start(right, 'iperf3', '-s', '-1', '--forceflush', '-B', HOSTS[1])
    await once(meter.stdout!, 'data')
    const flood = ['iperf3', '-J', '-u', '-b', '10M', '-P', '8', '-t', '2', '-c', HOSTS[1]]
    const { end } = JSON.parse((await runIn(left, flood)).stdout)
    const { lost_packets: lost, packets, bytes, seconds } = end.sum
    assert(lost > 0, `${lost} of ${packets}`)
    // A rate for each worker would be twice as much.
    const bitsPerSecond = ((packets - lost) * (bytes / packets) * 8) / seconds
    assert(bitsPerSecond < RATE * 1.5, `${bitsPerSecond} bit/s arrived`)
    const total = () => rig.router().totals()
    await eventually('what waits has left', () => {
      const { received, forwarded } = total()
      return received === forwarded + Object.values(ownDrops(total())).reduce((sum, count) => sum + count, 0)
    })
    const elsewhere = lostAtRings(total()) + (await lostInKernel(rig.network()))
    assert(total().drops['port right: queue full']! + elsewhere >= lost, `${elsewhere} ${JSON.stringify(total())}`)
  })

  test('whichever ends, packets go on', async () => {
    for (const name of ['worker 0', 'worker 1']) {
      await rig.restart(name)
      await rig.ping(HOSTS[1])
    }
  })
})

test('what one worker alone can do is refused, in words', async () => {
  const publish = (from: string, to: string) => ({
    kind: 'destination' as const,
    to: { address: parseAddress(from), length: 32, protocol: 6, port: 80 },
    address: parseAddress(to),
  })
  const chained = [publish('192.0.2.1', '192.0.1.2'), publish('192.0.1.2', '192.0.1.3')]
  await assert.rejects(
    startRouter({ devices: ['left', 'right'], workers: 2, nat: chained, warn: () => {} }),
    /what is published is published again, which one worker alone can do/,
  )
})
