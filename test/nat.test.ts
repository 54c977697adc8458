import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Router, startRouter } from '../src/control/router/router.js'
import { parseAddress } from '../src/kernel/index.js'
import { CLI } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn, startIn } from './support/run-in.js'

const SERVER = fileURLToPath(new URL('./support/serve-file.js', import.meta.url))
const DOCUMENT_BYTES = 8 << 20
/** Of the router, on the side of the server. */
const OUTSIDE = '192.0.2.1'
const OUTSIDE6 = '2001:db8:2::1'
const LISTENER = `
const net = require('node:net')
net.createServer((socket) => socket.end(socket.remoteAddress + ' ' + socket.remotePort)).listen(+process.argv[1], '::', () => process.send('up'))
`

describe('real programs through translation', {
  skip: skipUnless('root', 'ip', 'ping', 'curl', 'iperf3', 'tcpdump'),
}, () => {
  let network: RoutedNetwork
  let router: Router
  const children: ChildProcess[] = []
  const warnings: string[] = []

  before(async () => {
    network = createRoutedNetwork()
    router = await startRouter({
      devices: ['left', 'right'],
      namespace: network.router,
      nat: [
        { kind: 'masquerade', outPort: 1 },
        ...[80, 5201].map((port) => ({
          kind: 'destination' as const,
          to: { address: parseAddress(OUTSIDE), length: 32, protocol: 6, port },
          address: parseAddress(HOSTS[0]),
          port,
        })),
      ],
      warn: (text) => warnings.push(text),
    })
  })

  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    router.close()
    await router.done
    network.close()
    assert.deepEqual(warnings, [])
  })

  const start = (namespace: RoutedNetwork['left'], ...command: readonly string[]) => {
    const [first, ...rest] = [...inside(namespace), ...command]
    const child = spawn(first!, rest, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    children.push(child)
    return child
  }

  test('the server sees the address of the router, and answers arrive', async () => {
    const server = start(network.right, process.execPath, '-e', LISTENER, '7000')
    await once(server, 'message')
    for (const [host, seen] of [
      [HOSTS[1], `::ffff:${OUTSIDE}`],
      [HOSTS6[1], OUTSIDE6],
    ] as const) {
      const ask = `require('node:net').connect(7000, '${host}').pipe(process.stdout)`
      const { stdout, stderr } = await runIn(network.left, [process.execPath, '-e', ask])
      const [address, port] = stdout.split(' ')
      assert.equal(address, seen, stderr)
      assert(Number(port) >= 61_000, port)
      assertAnswered((await runIn(network.left, [...pings(3), host])).stdout, 3)
    }
    // What the router's own kernel does is left alone.
    assertAnswered((await runIn(network.right, [...pings(1), OUTSIDE])).stdout, 1)
    assertAnswered((await runIn(network.router, [...pings(1), HOSTS[1]])).stdout, 1)
  })

  test('no checksum is wrong of what comes out', async () => {
    const dump = startIn(network.right, ['tcpdump', '-nvv', '-l', '-i', 'eth0', '-c', '60', 'tcp port 5201'])
    await dump.said(/listening on/)
    const server = start(network.right, 'iperf3', '-s', '-1', '--forceflush', '-B', HOSTS[1])
    await once(server.stdout!, 'data')
    const { stdout, stderr } = await runIn(network.left, ['iperf3', '-J', '-n', '32M', '-c', HOSTS[1]])
    assert(JSON.parse(stdout).end?.sum_received.bytes > 1 << 20, stderr + stdout.slice(-500))
    const { stdout: text } = await dump.ended
    assert.match(text, /192\.0\.2\.1\.6\d{4} > 192\.0\.2\.2\.5201.*correct/)
    assert.doesNotMatch(text, /192\.0\.1\.2/)
    assert.doesNotMatch(text, /192\.0\.2\.1\.6\d{4} > [^\n]*incorrect/)
  })

  test('a published port is the server behind it, for curl and iperf3', async () => {
    const server = start(network.left, process.execPath, SERVER, `${DOCUMENT_BYTES}`)
    const [document] = await once(server, 'message')
    const { status, stdout } = await runIn(network.right, ['sh', '-c', `curl -s http://${OUTSIDE}/ | base64 -w 0`])
    assert.equal(status, 0)
    assert(stdout === document, 'the document differs')
    const meter = start(network.left, 'iperf3', '-s', '-1', '--forceflush', '-B', HOSTS[0])
    await once(meter.stdout!, 'data')
    const { stdout: report } = await runIn(network.right, ['iperf3', '-J', '-R', '-n', '32M', '-c', OUTSIDE])
    assert(JSON.parse(report).end?.sum_received.bytes > 1 << 20, report.slice(-500))
  })

  test('who lets a packet live too short learns it of the router, and of his own packet', async () => {
    const { stdout } = await runIn(network.left, [...pings(1), '-t', '1', HOSTS[1]])
    assert.match(stdout, /From 192\.0\.1\.1 .*Time to live exceeded/)
  })

  test('ICMP errors find who they are for: a closed port, by both families', async () => {
    for (const host of [HOSTS[1], HOSTS6[1]]) {
      const ask = `
const socket = require('node:dgram').createSocket('udp${host.includes(':') ? 6 : 4}')
socket.connect(9, '${host}', () => socket.send('x'))
setInterval(() => socket.send('x'), 1000).unref()
socket.on('error', ({ code }) => { console.log(code); process.exit() })
setTimeout(() => process.exit(1), 30_000)`
      const { stdout } = await runIn(network.left, [process.execPath, '-e', ask])
      assert.match(stdout, /ECONNREFUSED/, host)
    }
  })
})

describe('sluice route', { skip: skipUnless('root', 'ip', 'ping', 'curl') }, () => {
  test('masquerades and publishes, and says what it does not understand', async () => {
    const network = createRoutedNetwork()
    const route = (...options: readonly string[]) =>
      startIn(network.router, [process.execPath, CLI, 'route', 'left', 'right', ...options])
    const command = route(
      ...['--masquerade', 'right', '--publish', `${OUTSIDE}:8080=${HOSTS[0]}:80`, '--small', '--json'],
    )
    await command.said(/routing between/)
    await eventually('the router forwards', async () => {
      const { status } = await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])
      return status === 0
    })
    const [enter, ...within] = inside(network.left)
    const server = spawn(enter!, [...within, process.execPath, SERVER, '4096'], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    const [document] = await once(server, 'message')
    const ask = `curl -s http://${OUTSIDE}:8080/ | base64 -w 0`
    assert.equal((await runIn(network.right, ['sh', '-c', ask])).stdout, document)
    server.kill('SIGKILL')
    const { status, stdout, stderr } = await command.stop()
    assert.equal(status, 0, stderr)
    assert(JSON.parse(stdout).forwarded > 8)
    for (const [words, said] of [
      ['--masquerade middle', /the router's devices are left, right/],
      ['--publish 192.0.2.1=192.0.1.2', /publishes no port/],
      ['--publish 192.0.2.1:80=[2001:db8::1]:80', /publishes no port/],
      ['--publish 192.0.2.1:0=192.0.1.2:80', /publishes no port/],
      ['--publish 192.0.2.1:80=192.0.1.2:80 --publish 192.0.2.1:80=192.0.1.3:80', /192\.0\.2\.1:80 is there twice/],
      ['--track 100M', /2\d\.\d GiB of memory, and one can have 4/],
      ['--flows 100', /give --offload or --in-driver as well/],
    ] as const) {
      const refused = await route(...words.split(' ')).ended
      assert.equal(refused.status, 2)
      assert.match(refused.stderr, said)
    }
    network.close()
  })
})
